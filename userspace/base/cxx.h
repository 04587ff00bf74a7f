/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * The two things that C++ libraries do best, behind extern "C": shortest round-trip numbers
 * (std::to_chars, std::from_chars) and RE2 (linear time, the language's own dialect). No exception
 * leaves this file, and no other file is C++.
 */

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Shortest text like 1.25e+02 of the finite @v; returns its length, at most @cap, or 0. */
size_t cxx_double_to_scientific(double v, char *dst, size_t cap);

/*
 * Reads a finite decimal or exponent-form number that must fill all @len bytes.
 * 0, -EINVAL, or -ERANGE (then *@ret is the infinity or zero of the right sign).
 */
int cxx_double_from_text(const char *p, size_t len, double *ret);

struct cxx_regex;

/*
 * cxx_regex_new() - compiles @pattern (RE2 syntax, UTF-8, dot matches newline, as Prometheus
 * does).
 *
 * Memory for the automaton is bounded by @max_mem_bytes. Returns 0, -ENOMEM, or -EINVAL with RE2's
 * explanation copied to @msg (NUL-terminated, cut to @msg_cap).
 */
int cxx_regex_new(struct cxx_regex **ret, const char *pattern, size_t len, size_t max_mem_bytes,
                  char *msg, size_t msg_cap);
void cxx_regex_free(struct cxx_regex *re); /* NULL is fine */

/* Does the whole text match (as if anchored at both ends)? Threads: safe concurrently. */
bool cxx_regex_full_match(const struct cxx_regex *re, const char *p, size_t len);

/* Number of capturing groups in the pattern. */
int cxx_regex_groups(const struct cxx_regex *re);

/*
 * Matches the whole text if @anchored, else searches from byte @from. Fills @spans with 2 * @n
 * offsets (start, end; -1, -1 for a group that took no part), span 0 being the whole match.
 */
bool cxx_regex_match_spans(const struct cxx_regex *re, const char *p, size_t len, size_t from,
                           bool anchored, int *spans, int n);

/* The index-th group's name, or NULL when it has none. Valid as long as @re. */
const char *cxx_regex_group_name(const struct cxx_regex *re, int index);

#ifdef __cplusplus
}
#endif
