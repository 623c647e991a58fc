#!/bin/sh
# Installs the real peers that the interop tests and the benchmarks run, and Debian's root file systems that they pack.
# Most come from Debian's archives through the mirror that this machine's apt is set up with, are checked by apt against
# the machine's own Debian keyring, and are unpacked beside the system: nothing is installed into it, and no root is
# needed. Each runs with the C library of its own release. What Debian does not have is built by this machine's Go.
#
#   tools/install-peers.sh          into ${COSIGNET_PEERS:-${XDG_CACHE_HOME:-~/.cache}/cosignet/peers}
#
# Prints one line a peer: name, version, where it came from; the programs are <that folder>/bin/<name>, the root file
# systems <that folder>/rootfs/<architecture>.
# Exit status: 0 all there; 1 something failed; 3 all there but for what needs a Debian apt or Go, which is named.
set -eu

debian_peers='cosign3 cosign2 skopeo crane oras umoci podman docker-registry gpg openssl'
# What Go builds: name, module, version and the folder of the program in it. A row that is new is built alone.
go_peers='
olareg github.com/olareg/olareg v0.1.2 cmd/olareg
oci-conformance github.com/opencontainers/distribution-spec/conformance v0.0.0-20260831232431-97274622c111
cosign22 github.com/sigstore/cosign/v2 v2.2.4 cmd/cosign
'
rootfs_architectures='amd64 arm64'
# Small, with all that is hard to pack: programs that set user or group IDs, hard links, links to folders and beyond the
# root, names beyond ASCII.
rootfs_packages='base-files base-passwd bash ca-certificates coreutils dash grep gzip login mount ncurses-base passwd
perl-base sed tar tzdata util-linux'
cache=${COSIGNET_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/cosignet/peers}
case $cache in /*) ;; *) cache=$PWD/$cache ;; esac
# What was installed from where: the first line is the recipe. Each is written last: without it, or with that of another
# version of this script, everything is done again. What Go builds has one each, in whose recipe its own row is.
debian_stamp=$cache/debian.txt
go_stamps=$cache/go
recipe="recipe $(sed "/^go_peers=/,/^'/d" "$0" | cksum | cut -d' ' -f1)"
mark=$cache/.cosignet-peers

main() {
  missing=
  if ! is_current "$debian_stamp" "$recipe"; then
    if repository=$(debian_repository); then install_from_debian; else look_for $debian_peers; fi
  fi
  ! is_current "$debian_stamp" "$recipe" || tail -n +2 "$debian_stamp"
  while read -r name module version folder; do
    [ -z "$name" ] || install_with_go "$name" "$module" "$version" "$folder"
  done <<EOF
$go_peers
EOF
  [ -z "$missing" ] || by_hand $missing
}

# is_current STAMP RECIPE
is_current() {
  [ -f "$1" ] && [ "$(head -n 1 "$1")" = "$2" ]
}

install_from_debian() {
  claim_cache
  fetch sid cosign skopeo crane oras umoci podman patchelf
  fetch trixie cosign docker-registry gpg gpg-agent openssl
  for architecture in $rootfs_architectures; do
    unpack "$cache/rootfs/$architecture" trixie "$architecture" $rootfs_packages
  done
  mkdir -p "$cache/bin"
  wrap cosign3 sid cosign
  wrap cosign2 trixie cosign
  for peer in skopeo crane oras umoci; do wrap "$peer" sid "$peer"; done
  wrap_podman
  wrap docker-registry trixie docker-registry
  wrap_system gpg || wrap_gpg
  wrap_system openssl || wrap openssl trixie openssl
  describe >"$debian_stamp.new"
  mv "$debian_stamp.new" "$debian_stamp"
}

# install_with_go NAME MODULE VERSION FOLDER, where it is not there yet.
install_with_go() {
  go_stamp=$go_stamps/$1.txt
  go_recipe="$recipe $*"
  if ! is_current "$go_stamp" "$go_recipe"; then
    command -v go >/dev/null || { look_for "$1"; return; }
    mkdir -p "$cache/bin" "$go_stamps"
    build "$@"
    printf '%s\n%-16s %s (built by Go)\n' "$go_recipe" "$1" "$3" >"$go_stamp.new"
    mv "$go_stamp.new" "$go_stamp"
  fi
  tail -n +2 "$go_stamp"
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

# Content with what somebody put there by hand; what is not there is missing.
look_for() {
  for peer in "$@"; do
    if [ -x "$cache/bin/$peer" ]; then printf '%-16s (installed by hand)\n' "$peer"; else missing="$missing $peer"; fi
  done
}

# by_hand PEER...: says what to put there.
by_hand() {
  echo "install-peers: this machine has no apt with a Debian archive, or no Go; without them, these are missing:" >&2
  for peer in "$@"; do
    case $peer in
    cosign3) what='cosign 3.1 (github.com/sigstore/cosign)' ;;
    cosign2) what='cosign 2.5 or 2.6' ;;
    skopeo) what='skopeo 1.22, built with gpgme (github.com/containers/skopeo)' ;;
    crane) what='crane 0.20 (github.com/google/go-containerregistry)' ;;
    oras) what='oras 1.3 (github.com/oras-project/oras)' ;;
    umoci) what='umoci 0.6 (github.com/opencontainers/umoci)' ;;
    podman) what='podman 5 (github.com/containers/podman), with conmon and crun beside it' ;;
    docker-registry) what='distribution 2.8 (github.com/distribution/distribution, its "registry" program)' ;;
    gpg) what='GnuPG 2.2 or later' ;;
    openssl) what='OpenSSL 3' ;;
    *) what='install Go 1.24 or later and run this again' ;;
    esac
    printf '  %-16s %s\n' "$peer" "$what" >&2
  done
  echo "Put these programs, or links to them, into $cache/bin." >&2
  exit 3
}

# Starts with an empty folder, and removes only what this script made: COSIGNET_PEERS may point anywhere.
claim_cache() {
  mkdir -p "$cache"
  if [ ! -f "$mark" ] && [ -n "$(ls -A "$cache")" ]; then
    echo "install-peers: $cache holds files of something else; empty it or set COSIGNET_PEERS." >&2
    exit 1
  fi
  : >"$mark"
  rm -rf "$debian_stamp" "$go_stamps" "$cache/bin" "$cache/sid" "$cache/trixie" "$cache/rootfs"
}

# fetch SUITE PACKAGE...: unpacks programs and all that they depend on into $cache/SUITE, for this machine.
fetch() {
  suite=$1
  shift
  unpack "$cache/$suite" "$suite" "$(dpkg --print-architecture)" "$@"
}

# unpack ROOT SUITE ARCHITECTURE PACKAGE...: unpacks the packages and all that they depend on into ROOT; the versions of
# those that were named go into ROOT.versions.
unpack() {
  root=$1 suite=$2 architecture=$3
  shift 3
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
#clear APT::Architectures;
APT::Architecture "$architecture";
APT::Architectures { "$architecture"; };
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
  done >"$root.versions"
  rm -rf "$apt" "$root/usr/share/doc" "$root/usr/share/locale" "$root/usr/share/man"
}

# wrap NAME SUITE PROGRAM [ARGUMENT...]: <cache>/bin/NAME starts the program with its own loader and libraries.
wrap() {
  name=$1 suite=$2 program=$3
  shift 3
  find_loader "$cache/$suite"
  write_program "$name" "'$loader' --library-path '$libraries' '$cache/$suite/usr/bin/$program' $*"
}

find_loader() {
  loader=$(find "$1/usr/lib64" "$1/usr/lib" "$1/lib" -name 'ld-linux*.so.*' 2>/dev/null | head -n 1)
  libraries=$(dirname "$(find "$1/usr/lib" "$1/lib" -name libc.so.6 2>/dev/null | head -n 1)")
  [ -n "$loader" ] || { echo "install-peers: there is no loader in $1." >&2; exit 1; }
}

# podman starts itself again as /proc/self/exe to unpack a layer, and that must not be the loader: so the program itself
# is told where its loader and libraries are. Helpers, it is told by flags.
wrap_podman() {
  for helper in patchelf conmon crun; do wrap "$helper" sid "$helper"; done
  program=$cache/sid/usr/bin/podman
  # The other way round, or both at once, patchelf makes a program of Go that crashes.
  "$cache/bin/patchelf" --force-rpath --set-rpath "$libraries" "$program"
  "$cache/bin/patchelf" --set-interpreter "$loader" "$program"
  helpers="CONTAINERS_HELPER_BINARY_DIR='$cache/sid/usr/lib/podman'"
  write_program podman "env $helpers '$program' --conmon '$cache/bin/conmon' --runtime '$cache/bin/crun'"
}

# build NAME MODULE VERSION [FOLDER]: <cache>/bin/NAME is the program in that folder of the module, with the dependencies
# that the module itself names, checked by Go against its checksum database.
build() {
  name=$1 module=$2 version=$3 folder=$4
  work=$go_stamps/build
  rm -rf "$work"
  mkdir -p "$work"
  (
    cd "$work"
    export GOFLAGS= GOWORK=off CGO_ENABLED=0
    go mod init peers &&
      go mod edit -require="$module@$version" &&
      go build -mod=mod -trimpath -ldflags='-s -w' -o "$cache/bin/$name" "$module${folder:+/$folder}"
  ) </dev/null >"$cache/output.txt" 2>&1 || {
    echo "install-peers: $(go version) could not build $name:" >&2
    cat "$cache/output.txt" >&2
    exit 1
  }
  rm -rf "$work" "$cache/output.txt"
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
  for peer in $debian_peers; do
    case $peer in
    cosign* | crane | oras | openssl) set -- version ;;
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
  skopeo | crane | oras | umoci | podman) package=$1 suite=sid ;;
  *) package=$1 suite=trixie ;;
  esac
  if grep -q "$cache/$suite/" "$cache/bin/$1"; then
    echo "$(sed -n "s/^$package //p" "$cache/$suite.versions") (Debian $suite)"
  else
    echo "$(head -n 1 "$cache/output.txt" | grep -oE '[0-9]+(\.[0-9]+)+' | head -n 1) (this system)"
  fi
}

main
