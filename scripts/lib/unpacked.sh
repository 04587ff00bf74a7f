# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Debian's programs that tests and the demo run without installing them: installing would start and enable
# services on whoever's machine this is. Sourced, from the top of the tree, under `set -euo pipefail`.

# shellcheck source=scripts/lib/apt.sh
. scripts/lib/apt.sh

# unpacked NAME [--list] ITEM...: fetches what is missing into build/NAME/root, or prints the packages. An
# ITEM is PACKAGE:FILE, where the file is one that the package brings.
unpacked() {
	local name=$1 item
	shift
	if [ "${1:-}" = --list ]; then
		shift
		printf '%s\n' "${@%%:*}"
		return
	fi
	for item in "$@"; do
		[ -e "build/$name/root/${item#*:}" ] || unpacked_fetch "$name" "${item%%:*}"
	done
}

unpacked_fetch() {
	local name=$1 package=$2 folder=build/$1/fetch
	apt-cache show "$package" >/dev/null 2>&1 || apt-get -qq update
	echo "$name: fetching $package"
	rm -rf "$folder" && mkdir -p "$folder" "build/$name/root"
	apt_fetch "$folder" "$package"
	dpkg-deb -x "$folder/${package}"_*.deb "build/$name/root"
	rm -rf "$folder"
}
