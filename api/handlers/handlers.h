/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* The handlers named in route.def; each is a route_handler_f. What they answer: docs/api.md. */

#include "api/route.h"

/* h_query.c */
int h_query(struct region *region, struct request *req, struct response *resp);
int h_query_range(struct region *region, struct request *req, struct response *resp);

/* h_series.c, h_labels.c */
int h_series(struct region *region, struct request *req, struct response *resp);
int h_labels(struct region *region, struct request *req, struct response *resp);
int h_label_values(struct region *region, struct request *req, struct response *resp);

/* h_ingest.c */
int h_write(struct region *region, struct request *req, struct response *resp);
int h_import_text(struct region *region, struct request *req, struct response *resp);

/* h_status.c */
int h_buildinfo(struct region *region, struct request *req, struct response *resp);
int h_health(struct region *region, struct request *req, struct response *resp);
int h_ready(struct region *region, struct request *req, struct response *resp);
int h_metrics(struct region *region, struct request *req, struct response *resp);
