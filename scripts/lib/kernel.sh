# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Debian kernels and initrds for what we boot under QEMU: fetched by apt and unpacked, never installed.
# Sourced by scripts/guest and scripts/rig, which set $say_as and run under `set -euo pipefail`.
PATH=$PATH:/usr/sbin:/sbin

say() { printf '%s: %s\n' "${say_as:?}" "$*"; }
die() {
	say "$*" >&2
	exit "${code:-1}"
}

# The package that a meta package like linux-image-amd64 names: the newest kernel of this Debian.
kernel_package() { apt-cache depends "$1" 2>/dev/null | awk '/Depends: linux-image/ { print $2; exit }'; }

# kernel_fetch META DIR [FOLDER...]: $DIR/vmlinuz and $DIR/root/{boot,lib}, without the named folders of drivers.
kernel_fetch() {
	local meta=$1 dir=$2 package folder skip=()
	shift 2
	package=$(kernel_package "$meta")
	if [ -z "$package" ]; then
		say "apt knows no $meta yet: apt-get update"
		apt-get -qq update || die "apt-get update failed (it wants root)"
		package=$(kernel_package "$meta")
	fi
	[ -n "$package" ] || die "apt has no $meta: is this Debian on amd64?"
	say "fetching $package"
	for folder in "$@"; do skip+=("--exclude=./lib/modules/*/kernel/$folder"); done
	rm -rf "$dir/fetch" && mkdir -p "$dir/fetch/root"
	(cd "$dir/fetch" && apt-get -qq download "$package" 2>&1 | grep -v 'unsandboxed as root' >&2) || true
	dpkg-deb --fsys-tarfile "$dir"/fetch/"$package"_*.deb | tar -x -C "$dir/fetch/root" "${skip[@]}" ||
		die "$package was not fetched"
	depmod -b "$dir/fetch/root" "$(kernel_release "$dir/fetch/root")"
	cp "$dir"/fetch/root/boot/vmlinuz-* "$dir/vmlinuz.new"
	rm -rf "$dir/root" && mv "$dir/fetch/root" "$dir/root" && mv "$dir/vmlinuz.new" "$dir/vmlinuz"
	rm -rf "$dir/fetch"
}

kernel_release() { basename "$1"/lib/modules/*; }

# Prints the files of modules and of what they need, in the order of loading. modprobe prints "insmod FILE" lines.
kernel_modules() {
	local root=$1 module
	shift
	for module in "$@"; do
		modprobe -S "$(kernel_release "$root")" -d "$root" --show-depends "$module" |
			awk '$1 == "insmod" { print $2 }'
	done | awk '!seen[$0]++'
}

unpack_module() {
	case $1 in
	*.ko.xz) xz -dc "$1" ;;
	*.ko.zst) zstd -dqc "$1" ;;
	*.ko) cat "$1" ;;
	*) die "unknown kind of module: $1" ;;
	esac
}

# initrd_build FILE KERNEL-ROOT INIT MODULE...: busybox, INIT and the modules as /lib/modules/NN-name.ko.
# What else belongs in is put into $FILE.tree beforehand.
initrd_build() {
	local initrd=$1 root=$2 init=$3 tree=$1.tree n=10 file name
	shift 3
	mkdir -p "$tree"/{bin,dev,lib/modules,proc,sys,tmp}
	cp "$(command -v busybox)" "$tree/bin/busybox"
	install -m 755 "$init" "$tree/init"
	while read -r file; do
		name=$(basename "$file")
		unpack_module "$file" >"$tree/lib/modules/$n-${name%%.*}.ko"
		n=$((n + 1))
	done < <(kernel_modules "$root" "$@")
	[ "$n" -gt 10 ] || die "no module found in $root"
	(cd "$tree" && find . | cpio --quiet -o -H newc -R 0:0) | gzip -1 >"$initrd.new"
	mv "$initrd.new" "$initrd"
	rm -rf "$tree"
	say "initrd: $((n - 10)) modules, $(($(stat -c %s "$initrd") / 1024)) KiB, kernel $(kernel_release "$root")"
}

# Whether $1 is older than one of the other files, or missing.
older_than() {
	local made=$1 source
	shift
	for source in "$@"; do
		[ "$made" -nt "$source" ] || return 0
	done
	return 1
}
