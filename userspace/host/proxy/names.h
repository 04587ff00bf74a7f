/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/*
 * By what traffic is told apart: the addresses of VMs, the listeners that serve one app alone, and
 * the names that clients ask for. All of it comes from descriptions of VMs and from the routes of
 * the configuration, never from traffic.
 *
 * A name may be claimed by many VMs of one app, and goes when the last of them does; of two apps
 * that claim the same name the first one has it, and the other gets it when that one is gone.
 *
 * Threads  None of its own; under the source's lock.
 */

#include <stdint.h>

#include "userspace/base/str.h"
#include "userspace/host/net_addr.h"

#define NAMES_MAX 262144u

struct names;

int names_new(struct names **ret);
void names_free(struct names *n);

/* 0, -ENOMEM, or -ENOSPC above NAMES_MAX. The same claim may be made more than once. */
int names_claim_host(struct names *n, const char *hostname, uint32_t owner);
int names_claim_listener(struct names *n, const struct net_endpoint *at, uint32_t owner);
int names_claim_address(struct names *n, const struct net_addr *addr, uint32_t owner);

void names_release_host(struct names *n, const char *hostname, uint32_t owner);
void names_release_listener(struct names *n, const struct net_endpoint *at, uint32_t owner);
void names_release_address(struct names *n, const struct net_addr *addr, uint32_t owner);

/*
 * The owner, or OWNER_NOBODY. A hostname may be in any case and have a port or a final dot; the
 * exact name goes before "*." and the rest of it.
 */
uint32_t names_by_host(const struct names *n, struct str hostname);
uint32_t names_by_listener(const struct names *n, const struct net_endpoint *at);
uint32_t names_by_address(const struct names *n, const struct net_addr *addr);
