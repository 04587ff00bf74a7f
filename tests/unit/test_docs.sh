#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The manuals are well-formed, and whatever is generated is what the tables say now.
set -eu
cd "$(dirname "$0")/../.."
scripts/gen-docs --check
if ! command -v mandoc >/dev/null; then
	echo "SKIP: mandoc is missing (apt-get install mandoc)"
	exit 77
fi
mandoc -Tlint -Wwarning docs/man/*
