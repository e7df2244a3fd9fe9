#!/bin/sh
# Installs what the given parts lack, and says what it installs. Debian's packages come without their
# services being started; Python packages go into .venv; nothing else on the machine changes.
#
# usage: packaging/setup.sh PART...
#   compiler      Rust, a C compiler and Python
#   lints         clippy and rustfmt
#   fuzz          a C++ compiler, for libFuzzer
#   build         .venv with what builds the wheel
#   development   .venv with what the tests and lints need
#   rootfs        what makes the plugin's root folder
#   cross         what runs another architecture's Python for a moment
#   engine        what a private Docker engine needs
#   compose       docker-compose, which tests read logs with
#   disks         what makes small file systems; nothing where they cannot be mounted
set -eu

PYTHON=${PYTHON:-/usr/bin/python3}
VENV=.venv
MINIMUM_RUST=1.85
POLICY=/usr/sbin/policy-rc.d

cd "$(dirname "$0")/.."

say() { echo "setup: $*" >&2; }
fail() { say "$*"; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

packages=
want() { packages="$packages $*"; }

release() { (. /etc/os-release && echo "${VERSION_CODENAME:-}"); }

# The version comes first where sort puts the smaller one first.
has_rust() {
    has cargo && has rustc || return 1
    found=$(rustc --version | cut -d ' ' -f 2)
    [ "$(printf '%s\n%s\n' "$MINIMUM_RUST" "$found" | sort -V | head -n 1)" = "$MINIMUM_RUST" ]
}

want_part() {
    case $1 in
    compiler)
        has cc || want gcc libc6-dev
        has_rust || case $(release) in
            bookworm) want cargo-web rustc-web ;;
            *) want cargo rustc ;;
        esac
        want_python
        ;;
    lints)
        { has_rust && has cargo-clippy && has cargo-fmt; } || case $(release) in
            bookworm) want rust-web-clippy rustfmt-web ;;
            *) want rust-clippy rustfmt ;;
        esac
        ;;
    fuzz) has c++ || want g++ ;;
    disks)
        # Only root mounts, and the tests that would are skipped for others.
        [ "$(id -u)" = 0 ] || return 0
        has mkfs.ext4 || want e2fsprogs
        has mkfs.xfs || want xfsprogs
        has mkfs.btrfs || want btrfs-progs
        ;;
    compose) has docker-compose || want docker-compose ;;
    build) want_python ;;
    development)
        want_python
        # A test compares the generated messages with what it makes.
        has protoc || want protobuf-compiler
        ;;
    rootfs)
        [ "$(id -u)" = 0 ] || fail "the plugin's files are root's, so making them needs root: use sudo"
        has mmdebstrap || want mmdebstrap
        [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || want debian-archive-keyring
        ;;
    cross) has qemu-aarch64-static || want qemu-user-static ;;
    engine)
        [ "$(id -u)" = 0 ] || fail "a private engine needs root, for its mounts and containers: use sudo"
        grep -q ' cgroup2\? ' /proc/mounts ||
            fail "no cgroups are mounted here, and containers need them: see /sys/fs/cgroup"
        unshare --mount true 2>/dev/null ||
            fail "an engine needs mounts of its own, which this machine does not allow (in a container: --privileged)"
        has dockerd || want docker.io
        # Up to Debian 12 the client is in docker.io.
        has docker || if [ "$(release)" = bookworm ]; then want docker.io; else want docker-cli; fi
        want_part rootfs
        has busybox && busybox | head -n 1 | grep -q BusyBox && ! grep -q /ld-linux "$(command -v busybox)" ||
            want busybox-static
        has zstdcat || want zstd
        ;;
    *) fail "unknown part $1" ;;
    esac
}

want_python() {
    has "$PYTHON" || want python3
    "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || want python3-venv
    # For the registries of Rust and Python packages.
    [ -e /etc/ssl/certs/ca-certificates.crt ] || want ca-certificates
}

install_packages() {
    [ -n "$packages" ] || return 0
    # Each once.
    packages=$(printf '%s\n' $packages | sort -u | tr '\n' ' ')
    has apt-get || fail "this needs the Debian packages ${packages}and there is no apt-get here"
    [ "$(id -u)" = 0 ] || fail "these Debian packages are missing; install them as root: apt-get install $packages"
    say "installing Debian packages: $packages"
    forbid_services
    export DEBIAN_FRONTEND=noninteractive
    options="-qq -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0"
    log=$(mktemp)
    # shellcheck disable=SC2086 # both are lists of words
    if ! { apt-get $options update && apt-get $options install --no-install-recommends --yes $packages; } \
        >"$log" 2>&1 </dev/null; then
        tail -n 30 "$log" >&2
        fail "apt-get could not install them"
    fi
    rm -f "$log"
    allow_services
}

# While packages are installed, invoke-rc.d asks this file, and 101 means: start nothing.
forbid_services() {
    trap allow_services EXIT
    trap 'exit 1' HUP INT TERM
    # One that is put aside already is from a run that was killed.
    [ -e $POLICY.logboom ] || [ ! -e $POLICY ] || mv $POLICY $POLICY.logboom
    printf '#!/bin/sh\nexit 101\n' >$POLICY
    chmod 755 $POLICY
}

allow_services() {
    trap - EXIT HUP INT TERM
    rm -f $POLICY
    [ ! -e $POLICY.logboom ] || mv $POLICY.logboom $POLICY
}

# Runs pip when what it is asked for has changed since the last time.
install_python() {
    part=$1
    shift
    stamp=$VENV/$part.stamp
    # The group is named there.
    wanted="$* $([ "$part" = build ] || cksum <pyproject.toml)"
    [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ] || return 0
    if [ ! -x $VENV/bin/python ]; then
        say "making $VENV with $("$PYTHON" --version)"
        "$PYTHON" -m venv $VENV
    fi
    say "installing into $VENV: $*"
    # --group needs pip 25.1.
    $VENV/bin/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'
    $VENV/bin/python -m pip install --quiet --disable-pip-version-check "$@"
    echo "$wanted" >"$stamp"
}

for part in "$@"; do want_part "$part"; done
install_packages
for part in "$@"; do
    case $part in
    compiler)
        has_rust || fail "Rust $MINIMUM_RUST or later is needed, and this is $(rustc --version 2>&1)"
        ;;
    build) install_python build 'maturin>=1.9.4,<2' ;;
    development) install_python development --group dev ;;
    esac
done
