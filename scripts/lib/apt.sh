# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Packages that are fetched and unpacked, never installed. Sourced under `set -euo pipefail`.

# Options of apt-get and apt-cache that apt_suite has set; without it, those of the machine.
apt_options=()

# apt_suite SUITE STATE: from now on apt knows SUITE of the machine's own mirror and nothing else; its
# lists are kept in the folder STATE. 1 when no mirror is configured.
apt_suite() {
	local suite=$1 state=$2 mirror
	mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
	state=$(realpath "$state")
	mirror=$(apt-get indextargets --format '$(REPO_URI)' | awk '!/security/ { print; exit }')
	[ -n "$mirror" ] || return 1
	echo "deb $mirror $suite main" >"$state/sources.list"
	apt_options=(-o Dir::Etc::sourcelist="$state/sources.list" -o Dir::Etc::sourceparts=/dev/null
		-o Dir::State::lists="$state/lists" -o Dir::Cache="$state/cache" -o APT::Default-Release="$suite"
		-o APT::Sandbox::User=root -o Acquire::Retries=3)
	apt-get -qq "${apt_options[@]}" update >&2
}

# apt_fetch FOLDER PACKAGE...: the packages' files into FOLDER. Complaints that root has no sandbox are left out.
apt_fetch() {
	local folder=$1
	shift
	(cd "$folder" && apt-get -qq "${apt_options[@]}" download "$@" 2> >(grep -v 'unsandboxed as root' >&2))
}

# apt_depends PACKAGE: what it depends on, one name a line.
apt_depends() { apt-cache "${apt_options[@]}" depends "$1" 2>/dev/null | awk '$1 == "Depends:" { print $2 }'; }
