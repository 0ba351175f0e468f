# SPDX-License-Identifier: Apache-2.0
# Read by run-demo, run-tests and make bench-mta: installs Debian packages by name, and builds. Not run by itself.

PACKAGES_BUILD="autoconf automake gcc libc6-dev make pkg-config libevent-dev libssl-dev openssl libmilter-dev libyaml-dev
	libunbound-dev libidn2-dev libpsl-dev libgumbo-dev libjansson-dev libargon2-dev libcurl4-openssl-dev libsqlite3-dev libsystemd-dev libseccomp-dev libp11-kit-dev
	libcmocka-dev zlib1g-dev"
PACKAGES_RUN="postfix python3 python3-dkim procps ca-certificates"
PACKAGES_TEST="python3-pytest python3-pytest-xdist python3-cryptography python3-dkim python3-jsonschema faketime rspamd opendkim mandoc miltertest nsd ldnsutils unbound iproute2 softhsm2 opensc
	msmtp swaks libnet-ssleay-perl curl python3-html5lib nodejs node-parse5"
# MTAs exclude each other, so these are unpacked only (test/system/peers.py runs them).
PACKAGES_PEERS="exim4-daemon-light exim4-base opensmtpd"

say() {
	printf '\n== %s\n' "$*"
}

die() {
	printf '%s: %s\n' "$(basename "$0")" "$*" >&2
	exit 75
}

need_root() {
	[ "$(id -u)" = 0 ] && return
	command -v sudo >/dev/null || die "needs root: Postfix is started as in real life"
	exec sudo --preserve-env=CI,SEALPOST_VECTORS,SEALPOST_PEERS "$0" "$@"
}

# Installs what is missing of the packages named.
need_packages() {
	missing=""
	for p in "$@"; do
		dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q '^install ok installed' || missing="$missing $p"
	done
	[ -n "$missing" ] || return 0
	say "Installing:$missing"
	export DEBIAN_FRONTEND=noninteractive
	apt-get -q update >"$LOG_DIR/apt.log" 2>&1 || die "apt-get update failed; see $LOG_DIR/apt.log"
	command -v debconf-set-selections >/dev/null &&
		echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections
	# shellcheck disable=SC2086
	apt-get -q install -y --no-install-recommends $missing >>"$LOG_DIR/apt.log" 2>&1 ||
		die "apt-get install failed; see $LOG_DIR/apt.log"
}

# need_unpacked DIR PACKAGES...: downloads the packages and unpacks them in DIR without installing them; the libraries they
# need are installed. What DIR has already is left alone.
need_unpacked() {
	dir=$1
	shift
	[ -f "$dir/.unpacked" ] && [ "$(cat "$dir/.unpacked")" = "$*" ] && return 0
	mkdir -p "$dir/deb"
	say "Unpacking: $*"
	[ -n "$(find /var/lib/apt/lists -name '*_Packages*' -print -quit 2>/dev/null)" ] ||
		apt-get -q update >"$LOG_DIR/apt.log" 2>&1 || die "apt-get update failed; see $LOG_DIR/apt.log"
	(cd "$dir/deb" && { apt-get -q download "$@" || { apt-get -q update && apt-get -q download "$@"; }; }) \
		>>"$LOG_DIR/apt.log" 2>&1 || die "apt-get download failed; see $LOG_DIR/apt.log"
	libraries=""
	for p in "$@"; do
		for deb in "$dir/deb/$p"_*.deb; do
			dpkg -x "$deb" "$dir" || die "cannot unpack $deb"
			libraries="$libraries $(dpkg-deb -f "$deb" Depends | tr ',' '\n' | sed -n 's/^ *\(lib[a-z0-9.+-]*\|zlib1g\).*/\1/p')"
		done
	done
	# shellcheck disable=SC2086
	need_packages $(printf '%s\n' $libraries | sort -u)
	echo "$*" >"$dir/.unpacked"
}

# need_node DIR MODULES...: installs modules of Node.js in DIR, by npm as it is configured here. Their scripts are not run.
need_node() {
	dir=$1
	shift
	[ -f "$dir/.installed" ] && [ "$(cat "$dir/.installed")" = "$*" ] && return 0
	command -v npm >/dev/null || need_packages nodejs npm
	mkdir -p "$dir"
	say "Installing for Node.js: $*"
	npm install --prefix "$dir" --no-audit --no-fund --ignore-scripts "$@" >"$LOG_DIR/npm.log" 2>&1 ||
		die "npm install failed; see $LOG_DIR/npm.log"
	echo "$*" >"$dir/.installed"
}

# build DIR CONFIGURE-ARGUMENTS...: an out-of-tree build of everything, quietly; the log is shown if it fails.
build() {
	dir=$1
	shift
	mkdir -p "$dir"
	say "Building in $(basename "$dir")"
	(
		[ -x ./configure ] && [ ./configure -nt configure.ac ] || ./bootstrap || exit 1
		cd "$dir" || exit 1
		[ -f Makefile ] && [ Makefile -nt ../configure ] || ../configure "$@" || exit 1
		make -j"$(nproc)" || exit 1
	) >"$LOG_DIR/$(basename "$dir").log" 2>&1 || {
		tail -n 40 "$LOG_DIR/$(basename "$dir").log"
		die "the build failed; the whole log is $LOG_DIR/$(basename "$dir").log"
	}
}
