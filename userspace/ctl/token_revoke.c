/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * periscope token revoke: puts FlyV1 tokens on the list of those that count no more, and with them
 * all that were made from them. The list is a file of its own in the folder of access files, which
 * the region reads as soon as it is there.
 */
#include <string.h>

#include "userspace/base/file.h"
#include "userspace/base/util.h"
#include "userspace/ctl/token.h"

#define FILE_BYTES_MAX ((size_t)1 << 20) /* as much as the region reads */
#define HEAD           "revoked:\n"

struct options {
	bool help;
	const char *file;
};

#define ROW(...) OPT_ROW(struct options, __VA_ARGS__)
static const struct opt_row rows[] = {
	ROW("file", "FILE", STRING, file, "add them to this access file; default: print the lines"),
	ROW("help", NULL, FLAG, help, "print this and exit"),
};
#undef ROW

/* "- UUID" of each token that could be shown; discharges are nobody's. */
static int read_lines(struct buf *out, struct err *e)
{
	_cleanup_(arena_done) struct arena arena = ARENA_INIT((size_t)1 << 20);
	char uuid[MACAROON_UUID_TEXT_MAX];
	struct str header, text;
	int r = token_read(&arena, &header, e);

	while (r == 0 && token_next(&header, &text)) {
		struct macaroon m;

		if (!macaroon_is_text(text))
			return err_set(
				e, -EINVAL,
				"that is an opaque token: take it out of tokens in the access"
				" file");
		r = token_parse(text, &arena, &m, e);
		if (r == 0 && !m.proof && macaroon_uuid(&m, uuid) == 0)
			buf_printf(out, "- %s\n", uuid);
	}
	if (r == 0 && out->len == 0)
		r = err_set(e, -EINVAL, "there are only discharges: revoke the token itself");
	return r;
}

/* Only a file that holds such a list and nothing else is added to. */
static int add_to_file(const char *path, struct str lines, struct err *e)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT;
	int r = file_read(path, &text, FILE_BYTES_MAX);

	if (r == -ENOENT)
		buf_puts(&text, HEAD);
	else if (r < 0)
		return err_set(e, r, "%s: %s", path, strerror(-r));
	if (!str_starts(buf_str(&text), STR(HEAD)))
		return err_set(e, -EINVAL,
		               "%s does not begin with \"revoked:\"; name a file of its own", path);
	if (text.len > 0 && text.p[text.len - 1] != '\n')
		buf_putc(&text, '\n');
	buf_put_str(&text, lines);
	if (text.err == 0 && text.len > FILE_BYTES_MAX)
		return err_set(e, -EINVAL, "%s would have more than 1 MiB; begin another file",
		               path);
	r = text.err < 0 ? text.err : file_replace(path, text.p, text.len, 0640);
	return r < 0 ? err_set(e, r, "%s: %s", path, strerror(-r)) : 0;
}

static enum exit_code run(int argc, char **argv)
{
	_cleanup_(buf_done) struct buf lines = BUF_INIT;
	struct options o = { 0 };
	struct err e = ERR_INIT;
	enum exit_code code;

	if (!command_options(&token_revoke_command, rows, ARRAY_SIZE(rows), argc, argv, &o, &o.help,
	                     &code))
		return code;
	int r = macaroon_init();

	if (r == 0)
		r = read_lines(&lines, &e);
	if (r == 0 && o.file)
		r = add_to_file(o.file, buf_str(&lines), &e);
	if (r < 0)
		return command_fail(r == -EINVAL ? EXIT_USAGE : EXIT_RUNTIME, r, &e);
	return o.file ? EXIT_DONE : command_print(&lines);
}

const struct command token_revoke_command = {
	.group = "token",
	.name = "revoke",
	.about = "Put FlyV1 tokens of standard input on the list of revoked ones",
	.run = run,
};
