/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two arrays and an arena:
 *
 *	vms[]      one for each VM: timestamp, organisation and standard labels, copied once
 *	items[]    one for each sample: index of its VM, catalogue row, extra label values, value
 *	slots[]    open-addressed table, VM id -> index of vms[]: sources come one after another, so
 *	           a VM is begun as often as there are sources
 *
 * Labels are put together only when somebody walks the batch: 24 bytes a sample here against some
 * 200 as label text, and a region that is away for an hour leaves many batches in memory.
 *
 * Extra values equal to those of the sample before (eleven series of a disk) are not copied again.
 */
#include "userspace/host/batch.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "userspace/base/alloc.h"
#include "userspace/base/hash.h"
#include "userspace/base/util.h"
#include "userspace/host/foreign.h"
#include "userspace/host/histogram.h"
#include "userspace/host/vm.h"
#include "userspace/wire/rw2.h"

/* Of the arena: even at the longest labels a batch cannot eat the host. */
#define BATCH_TEXT_BYTES_MAX ((size_t)64 << 20)
#define SLOTS_MIN            64u
#define NO_VM                UINT32_MAX
#define FOREIGN              SERIES_N /* of an item: not in the catalogue */

struct batch_vm {
	uint64_t id;
	int64_t ts_ms;
	struct str org;
	struct str standard[SERIES_STANDARD_N]; /* in the order of catalog_standard_label() */
	uint64_t hash;                          /* of all these texts */
	uint8_t *had_by;                        /* [SERIES_N] source that has the row; 0 = none */
};

struct batch_item {
	double value; /* exported unit */
	union {
		const struct str *extra;
		const struct foreign *foreign; /* series == FOREIGN */
	};
	uint32_t vm;
	uint16_t series;
};

struct batch {
	struct arena text;
	struct batch_vm *vms;
	struct batch_item *items;
	uint32_t *slots; /* index of vms[] + 1, 0 = empty */
	size_t n_vms, vms_cap, n_items, items_cap, n_slots, samples_max;
	uint64_t n_refused;
	uint32_t current; /* VM begun last */
	uint8_t source;   /* begun last; 1 at first */
	_Atomic uint32_t n_holders;
};

int batch_new(struct batch **ret, size_t samples_max)
{
	struct batch *b = mem_zalloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->text = ARENA_INIT(BATCH_TEXT_BYTES_MAX);
	b->samples_max = samples_max;
	b->current = NO_VM;
	b->source = 1;
	atomic_store(&b->n_holders, 1);
	*ret = b;
	return 0;
}

struct batch *batch_ref(struct batch *b)
{
	(void)atomic_fetch_add(&b->n_holders, 1);
	return b;
}

void batch_free(struct batch *b)
{
	if (!b || atomic_fetch_sub(&b->n_holders, 1) > 1)
		return;
	arena_done(&b->text);
	free(b->vms);
	free(b->items);
	free(b->slots);
	free(b);
}

static uint32_t *slot_of(const struct batch *b, uint64_t id)
{
	size_t mask = b->n_slots - 1, at = (size_t)(id * 0x9e3779b97f4a7c15u >> 32) & mask;

	while (b->slots[at] != 0 && b->vms[b->slots[at] - 1].id != id)
		at = (at + 1) & mask;
	return &b->slots[at];
}

/* Keeps the table at most half full. */
static int grow_slots(struct batch *b)
{
	size_t want = MAX(b->n_slots * 2, (size_t)SLOTS_MIN);
	uint32_t *slots;

	if (b->n_slots > (b->n_vms + 1) * 2)
		return 0;
	slots = mem_zalloc(want, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	free(b->slots);
	b->slots = slots;
	b->n_slots = want;
	for (uint32_t i = 0; i < b->n_vms; i++)
		*slot_of(b, b->vms[i].id) = i + 1;
	return 0;
}

static uint64_t hash_vm(const struct batch_vm *v)
{
	uint64_t hash = hash_str(v->org);

	for (uint32_t i = 0; i < SERIES_STANDARD_N; i++)
		hash = hash_bytes(v->standard[i].p, v->standard[i].len, hash);
	return hash;
}

/* Room for one more VM; the slot is filled by the caller, so a failure leaves nothing behind. */
static int vm_reserve(struct batch *b)
{
	int r = grow_slots(b);

	if (r < 0)
		return r;
	return MEM_GROW(b->vms, b->vms_cap, b->n_vms + 1);
}

/* NUL-terminated behind its length: batch_add_stale() passes such texts on as C strings. */
static struct str copy_str(struct arena *a, struct str s)
{
	char *p = arena_strndup(a, s);

	return (struct str){ p, p ? s.len : 0 };
}

static int copy_text(struct arena *a, struct batch_vm *to, const struct batch_vm *from)
{
	*to = *from;
	to->org = copy_str(a, from->org);
	for (uint32_t i = 0; i < SERIES_STANDARD_N; i++)
		to->standard[i] = copy_str(a, from->standard[i]);
	to->had_by = ARENA_ARRAY(a, uint8_t, SERIES_N);
	return arena_error(a);
}

static int vm_add(struct batch *b, const struct batch_vm *borrowed)
{
	int r = vm_reserve(b);

	if (r == 0)
		r = copy_text(&b->text, &b->vms[b->n_vms], borrowed);
	if (r < 0)
		return r;
	b->current = (uint32_t)b->n_vms++;
	*slot_of(b, borrowed->id) = b->current + 1;
	return 0;
}

static bool find_vm(struct batch *b, uint64_t id)
{
	uint32_t slot = b->n_slots > 0 ? *slot_of(b, id) : 0;

	if (slot == 0)
		return false;
	b->current = slot - 1;
	return true;
}

void batch_begin_source(struct batch *b)
{
	assert(b->source < UINT8_MAX);
	b->source++;
	b->current = NO_VM;
}

int batch_begin(struct batch *b, const struct batch_owner *o, int64_t ts_ms)
{
	struct batch_vm v = {
		.id = o->id,
		.ts_ms = ts_ms,
		.org = str_from(o->org),
		.standard = { str_from(o->app), str_from(o->host), str_from(o->instance),
		              str_from(o->region) },
	};

	if (find_vm(b, o->id))
		return 0;
	/* A sample that follows a refusal must not end up with the VM before. */
	b->current = NO_VM;
	v.hash = hash_vm(&v);
	return vm_add(b, &v);
}

int batch_begin_vm(struct batch *b, const struct vm *vm, int64_t ts_ms)
{
	const struct batch_owner owner = {
		.id = vm->id,
		.org = vm->org,
		.app = vm->app,
		.host = vm->host,
		.instance = vm->instance,
		.region = vm->region,
	};

	return batch_begin(b, &owner, ts_ms);
}

static bool same_extra(const struct str *have, const char *const *want, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (!str_eqc(have[i], want[i]))
			return false;
	}
	return true;
}

/* The texts in the arena; *@ret is NULL for a row without extra labels. */
static int put_extra(struct batch *b, uint32_t n, const char *const *extra, const struct str **ret)
{
	const struct batch_item *before = b->n_items > 0 ? &b->items[b->n_items - 1] : NULL;
	struct str *copy;

	*ret = NULL;
	if (n == 0)
		return 0;
	if (before && before->series != FOREIGN && catalog_layout(before->series)->n_extra == n &&
	    same_extra(before->extra, extra, n)) {
		*ret = before->extra;
		return 0;
	}
	copy = ARENA_ARRAY(&b->text, struct str, n);
	for (uint32_t i = 0; copy && i < n; i++) {
		if (strlen(extra[i]) > LABEL_VALUE_MAX)
			return -EINVAL;
		copy[i] = copy_str(&b->text, str_from(extra[i]));
	}
	*ret = copy;
	return arena_error(&b->text);
}

static int refuse(struct batch *b, int code)
{
	b->n_refused++;
	return code;
}

static int add(struct batch *b, enum series_id id, const char *const *extra, double exported)
{
	struct batch_item item = { .value = exported, .vm = b->current, .series = (uint16_t)id };
	int r;

	if (b->n_items >= b->samples_max)
		return refuse(b, -ENOSPC);
	r = MEM_GROW(b->items, b->items_cap, b->n_items + 1);
	if (r == 0)
		r = put_extra(b, catalog_layout(id)->n_extra, extra, &item.extra);
	if (r < 0)
		return refuse(b, r);
	b->items[b->n_items++] = item;
	return 0;
}

int batch_add_foreign(struct batch *b, const struct label *labels, uint32_t n_labels, double value,
                      const int64_t *ts_ms, const struct rw2_meta *meta)
{
	struct foreign *f = arena_alloc(&b->text, sizeof(*f));
	const struct batch_vm *v;
	int r;

	if (b->current == NO_VM)
		return refuse(b, -EINVAL);
	if (b->n_items >= b->samples_max || !f)
		return refuse(b, -ENOSPC);
	v = &b->vms[b->current];
	r = foreign_make(&b->text, labels, n_labels, v->org, v->standard, f);
	if (r == 0)
		r = MEM_GROW(b->items, b->items_cap, b->n_items + 1);
	if (r < 0)
		return refuse(b, r);
	f->has_ts = ts_ms != NULL;
	f->ts_ms = ts_ms ? *ts_ms : 0;
	f->meta = meta;
	b->items[b->n_items++] = (struct batch_item){
		.value = value, .foreign = f, .vm = b->current, .series = FOREIGN
	};
	return 0;
}

const struct rw2_meta *batch_keep_meta(struct batch *b, const struct rw2_meta *meta)
{
	struct rw2_meta *copy = arena_alloc(&b->text, sizeof(*copy));

	if (!copy)
		return NULL;
	copy->type = meta->type;
	copy->help = copy_str(&b->text, meta->help);
	copy->unit = copy_str(&b->text, meta->unit);
	return copy;
}

/* Whether the source begun last has the row of the VM begun last. */
static bool take_row(struct batch *b, enum series_id id)
{
	uint8_t *had_by = &b->vms[b->current].had_by[id];

	if (*had_by == 0)
		*had_by = b->source;
	return *had_by == b->source;
}

int batch_add(struct batch *b, enum series_id id, const char *const *extra, double value)
{
	const struct series_layout *l = catalog_layout(id);

	assert(extra || l->n_extra == 0);
	if (b->current == NO_VM)
		return refuse(b, -EINVAL);
	if (!take_row(b, id))
		return 0;
	/* Arithmetic would change the bits of a stale mark. */
	if (!is_stale_mark(value))
		value = catalog[id].scale < 1 ? value / l->divisor : value * catalog[id].scale;
	return add(b, id, extra, value);
}

int batch_add_histogram(struct batch *b, enum series_id id, const char *const *extra,
                        const struct histogram *h, const struct histogram_bounds *bounds)
{
	const char *with_le[SERIES_EXTRA_MAX] = { NULL };
	uint64_t n = 0;
	int r = 0;

	assert(catalog[id].part == SERIES_BUCKET);
	for (uint32_t i = 1; i < catalog_layout(id)->n_extra; i++)
		with_le[i] = extra[i - 1];
	for (uint32_t i = 0; r == 0 && i <= bounds->n; i++) {
		n += h->buckets[i];
		with_le[0] = bounds->le_texts[i];
		r = batch_add(b, id, with_le, (double)n);
	}
	if (r == 0)
		r = batch_add(b, id + SERIES_SUM - SERIES_BUCKET, extra, (double)h->sum_ns);
	if (r == 0)
		r = batch_add(b, id + SERIES_COUNT - SERIES_BUCKET, extra, (double)n);
	return r;
}

void batch_hold(struct batch *b, enum series_id id)
{
	if (b->current != NO_VM)
		(void)take_row(b, id);
}

void batch_change(struct batch *b, enum series_id id, double value)
{
	for (size_t i = 0; b->current != NO_VM && i < b->n_items; i++) {
		if (b->items[i].vm == b->current && b->items[i].series == id)
			b->items[i].value = value * catalog[id].scale;
	}
}

size_t batch_n_samples(const struct batch *b)
{
	return b->n_items;
}

size_t batch_memory_bytes(const struct batch *b)
{
	return b->text.taken_bytes + b->items_cap * sizeof(*b->items) +
	       b->vms_cap * sizeof(*b->vms) + b->n_slots * sizeof(*b->slots);
}

uint64_t batch_n_refused(const struct batch *b)
{
	return b->n_refused;
}

static uint64_t hash_foreign(const struct foreign *f, uint64_t hash)
{
	for (uint32_t i = 0; i < f->n_labels; i++) {
		hash = hash_bytes(f->labels[i].name.p, f->labels[i].name.len, hash);
		hash = hash_bytes(f->labels[i].value.p, f->labels[i].value.len, hash);
	}
	return hash ? hash : 1;
}

uint64_t batch_series_hash(const struct batch *b, size_t i)
{
	assert(i < b->n_items);
	const struct batch_item *item = &b->items[i];
	uint64_t hash = b->vms[item->vm].hash + item->series;

	if (item->series == FOREIGN)
		return hash_foreign(item->foreign, hash);
	for (uint32_t n = 0; n < catalog_layout(item->series)->n_extra; n++)
		hash = hash_bytes(item->extra[n].p, item->extra[n].len, hash);
	hash = hash_bytes(&hash, sizeof(hash), 0);
	return hash ? hash : 1;
}

bool batch_sample_is_stale(const struct batch *b, size_t i)
{
	assert(i < b->n_items);
	return is_stale_mark(b->items[i].value);
}

uint64_t batch_owner_hash(const struct batch *b, size_t i)
{
	assert(i < b->n_items);
	return b->vms[b->items[i].vm].hash;
}

void batch_sample_meta(const struct batch *b, size_t i, struct rw2_meta *ret)
{
	static const enum rw_type types[] = {
		[SERIES_COUNTER] = RW_TYPE_COUNTER,
		[SERIES_GAUGE] = RW_TYPE_GAUGE,
		[SERIES_HISTOGRAM] = RW_TYPE_HISTOGRAM,
	};
	const struct series_row *row;

	assert(i < b->n_items);
	*ret = (struct rw2_meta){ 0 };
	if (b->items[i].series == FOREIGN) {
		if (b->items[i].foreign->meta)
			*ret = *b->items[i].foreign->meta;
		return;
	}
	row = &catalog[b->items[i].series];
	*ret = (struct rw2_meta){ types[row->type], str_from(row->help), STR_NULL };
}

uint64_t batch_sample_vm_id(const struct batch *b, size_t i)
{
	assert(i < b->n_items);
	return b->vms[b->items[i].vm].id;
}

enum series_id batch_sample_series(const struct batch *b, size_t i)
{
	assert(i < b->n_items);
	return b->items[i].series;
}

double batch_sample_value(const struct batch *b, size_t i)
{
	assert(i < b->n_items);
	return b->items[i].value;
}

/* The series of a sample of another batch, with another value. */
static int add_again(struct batch *b, const struct batch *from, size_t i, int64_t ts_ms,
                     double exported)
{
	assert(i < from->n_items);
	const struct batch_item *item = &from->items[i];
	struct batch_vm v = from->vms[item->vm];
	const char *extra[SERIES_EXTRA_MAX];
	int r = 0;

	v.ts_ms = ts_ms;
	if (!find_vm(b, v.id)) {
		b->current = NO_VM;
		r = vm_add(b, &v);
	}
	if (r < 0)
		return refuse(b, r);
	if (item->series == FOREIGN)
		return batch_add_foreign(b, item->foreign->labels, item->foreign->n_labels,
		                         stale_mark(), NULL, NULL);
	for (uint32_t n = 0; n < catalog_layout(item->series)->n_extra; n++)
		extra[n] = item->extra[n].p;
	return add(b, item->series, extra, exported);
}

int batch_add_stale(struct batch *b, const struct batch *prev, size_t i, int64_t ts_ms)
{
	return add_again(b, prev, i, ts_ms, stale_mark());
}

int batch_copy(struct batch *b, const struct batch *from, size_t i, int64_t ts_ms)
{
	return add_again(b, from, i, ts_ms, batch_sample_value(from, i));
}

static void put_label(struct label *labels, uint32_t *n, struct str name, struct str value)
{
	/* An absent label and an empty one are the same; only the absent form may be sent. */
	if (value.len > 0)
		labels[(*n)++] = (struct label){ name, value };
}

static uint32_t put_labels(const struct batch *b, const struct batch_item *item, bool with_org,
                           struct label *labels)
{
	const struct series_layout *l = catalog_layout(item->series);
	const struct batch_vm *v = &b->vms[item->vm];
	uint32_t n = 0;

	put_label(labels, &n, STR(LABEL_NAME), l->name);
	if (with_org)
		put_label(labels, &n, STR(LABEL_ORG), v->org);
	for (uint32_t i = 0; i < SERIES_STANDARD_N + l->n_extra; i++) {
		uint32_t at = l->order[i], x = at - SERIES_STANDARD_N;

		if (at < SERIES_STANDARD_N)
			put_label(labels, &n, catalog_standard_label(at), v->standard[at]);
		else
			put_label(labels, &n, l->extra[x], item->extra[x]);
	}
	return n;
}

static uint32_t put_foreign(const struct foreign *f, bool with_org, struct label *labels)
{
	bool skip = f->has_org && !with_org; /* the second */

	labels[0] = f->labels[0];
	memcpy(labels + 1, f->labels + 1 + skip, (f->n_labels - 1 - skip) * sizeof(*labels));
	return f->n_labels - skip;
}

int batch_each_range(const struct batch *b, size_t from, size_t to, bool with_org,
                     batch_sample_f fn, void *ctx)
{
	struct label labels[LABELS_MAX];

	for (size_t i = from; i < MIN(to, b->n_items); i++) {
		const struct batch_item *item = &b->items[i];
		struct sample s = { .ts_ms = b->vms[item->vm].ts_ms, .value = item->value };
		bool foreign = item->series == FOREIGN;
		uint32_t n = foreign ? put_foreign(item->foreign, with_org, labels)
		                     : put_labels(b, item, with_org, labels);

		if (foreign && item->foreign->has_ts)
			s.ts_ms = item->foreign->ts_ms;
		int r = fn(ctx, item->series, labels, n, &s);

		if (r < 0)
			return r;
	}
	return 0;
}

int batch_each(const struct batch *b, bool with_org, batch_sample_f fn, void *ctx)
{
	return batch_each_range(b, 0, b->n_items, with_org, fn, ctx);
}
