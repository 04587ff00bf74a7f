/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * What --version tells. PERISCOPE_VERSION is the file VERSION; the commit is in a file of its own
 * that the Makefile writes and links to the programs, so that a commit does not rebuild every
 * object.
 */

extern const char build_commit[]; /* "unknown" when it was not built from a git checkout */
