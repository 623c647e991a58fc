#!/bin/sh
# Installs the real peers that the interop tests and the benchmarks run: cosign 3, cosign 2, skopeo, docker-registry,
# gpg and openssl. They come from Debian's archives through the mirror that this machine's apt is set up with, are
# checked by apt against the machine's own Debian keyring, and are unpacked beside the system: nothing is installed
# into it, and no root is needed. Each runs with the C library of its own release.
#
#   tools/install-peers.sh          into ${COSIGNET_PEERS:-${XDG_CACHE_HOME:-~/.cache}/cosignet/peers}
#
# Prints one line a peer: name, version, where it came from; the programs are <that folder>/bin/<name>.
# Exit status: 0 all there; 1 something failed; 3 this machine has no Debian apt, so install by hand.
set -eu

peers='cosign3 cosign2 skopeo docker-registry gpg openssl'
cache=${COSIGNET_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/cosignet/peers}
# The stamp is written last: without it, or with that of another version of this script, everything is done again.
stamp=$cache/installed.txt
recipe="recipe $(cksum <"$0" | cut -d' ' -f1)"
mark=$cache/.cosignet-peers

main() {
  if [ -f "$stamp" ] && [ "$(head -n 1 "$stamp")" = "$recipe" ]; then
    tail -n +2 "$stamp"
    return
  fi
  if ! repository=$(debian_repository); then
    by_hand
    return
  fi
  claim_cache
  fetch sid cosign skopeo
  fetch trixie cosign docker-registry gpg gpg-agent openssl
  mkdir -p "$cache/bin"
  wrap cosign3 sid cosign
  wrap cosign2 trixie cosign
  wrap skopeo sid skopeo
  wrap docker-registry trixie docker-registry
  wrap_system gpg || wrap_gpg
  wrap_system openssl || wrap openssl trixie openssl
  describe >"$stamp.new"
  mv "$stamp.new" "$stamp"
  tail -n +2 "$stamp"
}

# The URI of the Debian archive, as apt itself reads its sources (one-line and deb822): the one that serves "main" of
# the release this machine runs.
debian_repository() {
  command -v apt-get >/dev/null && command -v dpkg >/dev/null || return 1
  [ "$(os_release ID)" = debian ] || return 1
  apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' 'Component: main' |
    awk -v release="$(os_release VERSION_CODENAME)" '
      $1 == release || $1 ~ /^(stable|testing|unstable|sid)$/ { print $2; found = 1; exit }
      END { exit !found }'
}

os_release() {
  sed -n "s/^$1=\"\{0,1\}\([^\"]*\)\"\{0,1\}\$/\1/p" /etc/os-release
}

# Without Debian's apt: content with what somebody put there, else says what to put there.
by_hand() {
  missing=
  for peer in $peers; do
    if [ -x "$cache/bin/$peer" ]; then printf '%-16s (installed by hand)\n' "$peer"; else missing="$missing $peer"; fi
  done
  [ -n "$missing" ] || return 0
  cat >&2 <<EOF
install-peers: this machine has no apt with a Debian archive, so install by hand:$missing.
Put these programs, or links to them, into $cache/bin :
  cosign3          cosign 3.1 (github.com/sigstore/cosign)
  cosign2          cosign 2.5 or 2.6
  skopeo           skopeo 1.22, built with gpgme (github.com/containers/skopeo)
  docker-registry  distribution 2.8 (github.com/distribution/distribution, its "registry" program)
  gpg              GnuPG 2.2 or later
  openssl          OpenSSL 3
EOF
  exit 3
}

# Starts with an empty folder, and removes only what this script made: COSIGNET_PEERS may point anywhere.
claim_cache() {
  mkdir -p "$cache"
  cache=$(cd "$cache" && pwd)
  if [ ! -f "$mark" ] && [ -n "$(ls -A "$cache")" ]; then
    echo "install-peers: $cache holds files of something else; empty it or set COSIGNET_PEERS." >&2
    exit 1
  fi
  : >"$mark"
  rm -rf "$stamp" "$cache/bin" "$cache/sid" "$cache/trixie"
}

# fetch SUITE PACKAGE...: unpacks the packages and all that they depend on into $cache/SUITE.
fetch() {
  suite=$1
  shift
  root=$cache/$suite
  apt=$root/.apt
  mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/state" "$apt/parts"
  : >"$apt/status"
  keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  signed_by=
  [ ! -f "$keyring" ] || signed_by="[signed-by=$keyring] "
  echo "deb $signed_by$repository $suite main" >"$apt/sources.list"
  # Read after the machine's own settings, so that its proxy holds and its hooks do not run.
  cat >"$apt/apt.conf" <<EOF
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Dir::Etc::SourceList "$apt/sources.list";
Dir::Etc::SourceParts "$apt/parts";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "$apt/parts";
Dir::State "$apt/state";
Dir::State::Lists "$apt/lists";
Dir::State::Status "$apt/status";
Dir::Cache "$apt/cache";
APT::Default-Release "";
APT::Sandbox::User "root";
APT::Get::AllowUnauthenticated "false";
APT::Update::Error-Mode "any";
Acquire::AllowInsecureRepositories "false";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
EOF
  apt_get() { apt-get -c="$apt/apt.conf" -qq "$@"; }
  apt_get update || {
    echo "install-peers: apt could not read $suite from $repository (see above). If it has no public key for the" >&2
    echo "signature, this machine's debian-archive-keyring is too old: upgrade that package." >&2
    exit 1
  }
  # Nothing counts as installed (the status file is empty), so this fetches the C library and the loader too.
  apt_get --yes --no-install-recommends --download-only install "$@" >/dev/null
  for package in "$apt"/cache/archives/*.deb; do
    dpkg -x "$package" "$root"
  done
  for name in "$@"; do
    dpkg-deb --show --showformat '${Package} ${Version}\n' "$apt/cache/archives/${name}"_*.deb
  done >"$root/versions.txt"
  rm -rf "$apt" "$root/usr/share/doc" "$root/usr/share/locale" "$root/usr/share/man"
}

# wrap NAME SUITE PROGRAM [ARGUMENT...]: <cache>/bin/NAME starts the program with its own loader and libraries.
wrap() {
  name=$1 suite=$2 program=$3
  shift 3
  root=$cache/$suite
  loader=$(find "$root/usr/lib64" "$root/usr/lib" "$root/lib" -name 'ld-linux*.so.*' 2>/dev/null | head -n 1)
  libraries=$(dirname "$(find "$root/usr/lib" "$root/lib" -name libc.so.6 2>/dev/null | head -n 1)")
  [ -n "$loader" ] || { echo "install-peers: there is no loader in $root." >&2; exit 1; }
  write_program "$name" "'$loader' --library-path '$libraries' '$root/usr/bin/$program' $*"
}

# The system's own program, where there is one.
wrap_system() {
  path=$(command -v "$1") || return 1
  write_program "$1" "'$path'"
}

# An unpacked gpg must be told where its agent is.
wrap_gpg() {
  wrap gpg-agent trixie gpg-agent
  wrap gpg trixie gpg "--agent-program '$cache/bin/gpg-agent'"
}

write_program() {
  printf '#!/bin/sh\nexec %s "$@"\n' "$2" >"$cache/bin/$1"
  chmod 755 "$cache/bin/$1"
}

# The recipe, then a line a peer. Each is started once: one that does not run is found here and not in a test.
describe() {
  echo "$recipe"
  for peer in $peers; do
    case $peer in
    cosign*) set -- version ;;
    openssl) set -- version ;;
    *) set -- --version ;;
    esac
    "$cache/bin/$peer" "$@" >"$cache/output.txt" 2>&1 || {
      echo "install-peers: $peer does not run:" >&2
      cat "$cache/output.txt" >&2
      exit 1
    }
    printf '%-16s %s\n' "$peer" "$(origin "$peer")"
  done
  rm -f "$cache/output.txt"
}

# Version and suite of the package, or what the system's program says of itself.
origin() {
  case $1 in
  cosign3) package=cosign suite=sid ;;
  cosign2) package=cosign suite=trixie ;;
  skopeo) package=skopeo suite=sid ;;
  *) package=$1 suite=trixie ;;
  esac
  if grep -q "$cache/$suite/" "$cache/bin/$1"; then
    echo "$(sed -n "s/^$package //p" "$cache/$suite/versions.txt") (Debian $suite)"
  else
    echo "$(head -n 1 "$cache/output.txt" | grep -oE '[0-9]+(\.[0-9]+)+' | head -n 1) (this system)"
  fi
}

main
