# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Debian kernels and initrds for what we boot under QEMU: fetched by apt and unpacked, never installed.
# Sourced by scripts/guest and scripts/rig, which set $say_as and run under `set -euo pipefail`.
PATH=$PATH:/usr/sbin:/sbin
# shellcheck source=scripts/lib/apt.sh
. "$(dirname "${BASH_SOURCE[0]}")/apt.sh"

say() { printf '%s: %s\n' "${say_as:?}" "$*"; }
die() {
	say "$*" >&2
	exit "${code:-1}"
}

# The packages that hold the kernel which a meta package like linux-image-amd64 names: the newest of its
# suite. Newer Debians split it into the image and its modules.
kernel_packages() {
	local image
	image=$(apt_depends "$1" | grep -m1 '^linux-image-') || return 0
	echo "$image"
	apt_depends "$image" | grep -E '^linux-(base|binary|modules)-[0-9]' || true
}

# kernel_fetch META DIR [FOLDER...]: $DIR/vmlinuz and $DIR/root/lib, without the named folders of drivers.
kernel_fetch() {
	local meta=$1 dir=$2 packages package folder skip=()
	shift 2
	mapfile -t packages < <(kernel_packages "$meta")
	if [ ${#packages[@]} -eq 0 ] && [ ${#apt_options[@]} -eq 0 ]; then
		say "apt knows no $meta yet: apt-get update"
		apt-get -qq update || die "apt-get update failed (it wants root)"
		mapfile -t packages < <(kernel_packages "$meta")
	fi
	[ ${#packages[@]} -gt 0 ] || die "apt has no $meta: is this Debian on amd64?"
	say "fetching ${packages[*]}"
	for folder in "$@"; do skip+=("--exclude=./*lib/modules/*/kernel/$folder"); done
	rm -rf "$dir/fetch" && mkdir -p "$dir/fetch/root/lib"
	apt_fetch "$dir/fetch" "${packages[@]}" || true
	for package in "${packages[@]}"; do
		dpkg-deb --fsys-tarfile "$dir"/fetch/"$package"_*.deb | tar -x -C "$dir/fetch/root" "${skip[@]}" ||
			die "$package was not fetched"
	done
	if [ -d "$dir/fetch/root/usr/lib/modules" ]; then
		mv "$dir/fetch/root/usr/lib/modules" "$dir/fetch/root/lib/modules"
	fi
	depmod -b "$dir/fetch/root" "$(kernel_release "$dir/fetch/root")"
	cp "$(find "$dir"/fetch/root/boot "$dir"/fetch/root/lib/modules -name 'vmlinuz*' 2>/dev/null | head -1)" \
		"$dir/vmlinuz.new"
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

# initrd_later KERNEL-ROOT TREE MODULE...: modules that the guest may load later, by modprobe.
initrd_later() {
	local root=$1 tree=$2 release file name to
	release=$(kernel_release "$root")
	to=$tree/lib/modules/$release/kernel
	shift 2
	mkdir -p "$to"
	while read -r file; do
		name=$(basename "$file")
		unpack_module "$file" >"$to/${name%%.*}.ko"
	done < <(kernel_modules "$root" "$@")
	touch "$tree/lib/modules/$release"/modules.{order,builtin,builtin.modinfo}
	depmod -b "$tree" "$release"
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
