/**
 * Kubernetes manifests as text: finds the Pod in any workload and changes one annotation of it without touching
 * another line. Nothing here talks to a cluster.
 */
export { setPodAnnotation } from './set-annotation.ts'
export { type Container, parseWorkloads, type Workload } from './workloads.ts'
