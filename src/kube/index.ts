/**
 * A Kubernetes cluster: the kubeconfig or the Pod's own account that leads to it, its API, and the Secrets in which
 * keys are kept. What the cluster answers is data; no value of a Secret, token or kubeconfig enters a message.
 */
export { connectToCluster } from './connect.ts'
export { openKeySecret } from './key-secret.ts'
