/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * Scrapes the endpoints of own metrics that VMs have (struct vm: scrapes), each every
 * scrape.interval, all spread over it, and hands what it read to delivery.
 *
 * An endpoint's time in the interval follows from its name, so it stays the same: its samples are
 * equally spaced. One that was refused for its size is fetched less and less often, down to every
 * twentieth interval, and "up" is 0 in all of them: an endpoint that means harm costs little.
 *
 * Threads  One of its own. scraper_metrics(): any. The rest: the collector thread.
 */

#include "userspace/base/buf.h"
#include "userspace/base/err.h"

struct batch;
struct host_conf;
struct scraper;
struct vm;

/* Takes over @b. */
typedef void (*scraper_push_f)(void *ctx, struct batch *b);

int scraper_new(struct scraper **ret, const struct host_conf *conf, scraper_push_f push, void *ctx,
                struct err *e);
/* Ends no series: the daemon that follows goes on with them. */
void scraper_free(struct scraper *s); /* NULL is fine */
void scraper_set_conf(struct scraper *s, const struct host_conf *conf);

/* A VM without endpoints is not remembered. 0 or -ENOMEM. */
int scraper_vm_added(struct scraper *s, const struct vm *vm);
/* Ends its series at once. */
void scraper_vm_gone(struct scraper *s, const struct vm *vm);

void scraper_metrics(struct buf *out, void *scraper); /* exposition text */
