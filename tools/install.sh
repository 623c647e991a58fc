#!/bin/sh
# Installs the packages of the lockfile, the project's own Node among them. npm leaves out optional packages that ask
# for a newer Node than it runs on, so where the machine's Node is older, that one fetches ours, and ours installs.
# Runs with node_modules/.bin first on the PATH.
set -eu

install() {
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error "$@"
  # npm 10 and older do not link the program of an optional package.
  for node in node_modules/node-*/bin/node; do
    [ ! -x "$node" ] || ln -sf "../${node#*/}" node_modules/.bin/node
  done
}

if node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 24 ? 1 : 0)'; then
  install
else
  install --omit=dev
  install
fi
