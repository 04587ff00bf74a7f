/* SPDX-License-Identifier: BSD-2-Clause */
#include "userspace/base/cxx.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <map>
#include <new>
#include <string>

#include <re2/re2.h>

struct cxx_regex {
	RE2 re;
	std::map<int, std::string> names;

	cxx_regex(const re2::StringPiece &pattern, const RE2::Options &options)
	    : re(pattern, options)
	{
	}
};

size_t cxx_double_to_scientific(double v, char *dst, size_t cap)
{
	auto r = std::to_chars(dst, dst + cap, v, std::chars_format::scientific);

	return r.ec == std::errc() ? static_cast<size_t>(r.ptr - dst) : 0;
}

/* from_chars leaves the value alone when out of range: the exponent tells which end it is. */
static double out_of_range(const char *p, size_t len)
{
	bool negative = len > 0 && p[0] == '-';
	std::string text(p, len);
	size_t e = text.find_first_of("eE");
	bool tiny;

	if (e != std::string::npos)
		tiny = e + 1 < len && text[e + 1] == '-';
	else
		tiny = text[negative] == '0' || text[negative] == '.';
	double v = tiny ? 0.0 : HUGE_VAL;
	return negative ? -v : v;
}

int cxx_double_from_text(const char *p, size_t len, double *ret)
{
	double v;
	auto r = std::from_chars(p, p + len, v, std::chars_format::general);

	if (r.ptr != p + len || r.ec == std::errc::invalid_argument)
		return -EINVAL;
	if (r.ec == std::errc::result_out_of_range) {
		*ret = out_of_range(p, len);
		return -ERANGE;
	}
	*ret = v;
	return 0;
}

int cxx_regex_new(struct cxx_regex **ret, const char *pattern, size_t len, size_t max_mem_bytes,
                  char *msg, size_t msg_cap)
{
	RE2::Options options;
	cxx_regex *re;

	options.set_log_errors(false);
	options.set_dot_nl(true);
	options.set_max_mem(static_cast<int64_t>(max_mem_bytes));
	try {
		re = new cxx_regex(re2::StringPiece(pattern, len), options);
		re->names = re->re.CapturingGroupNames();
	} catch (const std::bad_alloc &) {
		return -ENOMEM;
	}
	if (re->re.ok()) {
		*ret = re;
		return 0;
	}
	if (msg_cap > 0) {
		const std::string &why = re->re.error();
		size_t n = std::min(why.size(), msg_cap - 1);

		memcpy(msg, why.data(), n);
		msg[n] = '\0';
	}
	delete re;
	return -EINVAL;
}

void cxx_regex_free(struct cxx_regex *re)
{
	delete re;
}

bool cxx_regex_full_match(const struct cxx_regex *re, const char *p, size_t len)
{
	return re->re.Match(re2::StringPiece(p, len), 0, len, RE2::ANCHOR_BOTH, nullptr, 0);
}

int cxx_regex_groups(const struct cxx_regex *re)
{
	return re->re.NumberOfCapturingGroups();
}

bool cxx_regex_match_spans(const struct cxx_regex *re, const char *p, size_t len, size_t from,
                           bool anchored, int *spans, int n)
{
	constexpr int groups_max = 32;
	re2::StringPiece groups[groups_max];

	n = std::min(n, groups_max);
	if (from > len || !re->re.Match(re2::StringPiece(p, len), from, len,
	                                anchored ? RE2::ANCHOR_BOTH : RE2::UNANCHORED, groups, n))
		return false;
	for (int i = 0; i < n; i++) {
		bool took_part = groups[i].data() != nullptr;

		spans[2 * i] = took_part ? static_cast<int>(groups[i].data() - p) : -1;
		spans[2 * i + 1] =
			took_part ? spans[2 * i] + static_cast<int>(groups[i].size()) : -1;
	}
	return true;
}

const char *cxx_regex_group_name(const struct cxx_regex *re, int index)
{
	auto it = re->names.find(index);

	return it == re->names.end() ? nullptr : it->second.c_str();
}
