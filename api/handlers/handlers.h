/* SPDX-License-Identifier: BSD-2-Clause */
#pragma once

/* The handlers named in route.def; each is a route_handler_f. What they answer: docs/api.md. */

#include "api/route.h"

/* h_query.c */
int h_query(struct region *region, struct request *req, struct response *resp);
int h_query_range(struct region *region, struct request *req, struct response *resp);

/* h_format.c */
int h_prettify(struct region *region, struct request *req, struct response *resp);
int h_expand(struct region *region, struct request *req, struct response *resp);
int h_format_query(struct region *region, struct request *req, struct response *resp);
int h_parse_query(struct region *region, struct request *req, struct response *resp);

/* h_series.c, h_labels.c */
int h_series(struct region *region, struct request *req, struct response *resp);
int h_labels(struct region *region, struct request *req, struct response *resp);
int h_label_values(struct region *region, struct request *req, struct response *resp);

/* h_search.c */
int h_search_metric_names(struct region *region, struct request *req, struct response *resp);
int h_search_label_names(struct region *region, struct request *req, struct response *resp);
int h_search_label_values(struct region *region, struct request *req, struct response *resp);

/* h_write.c, h_import_text.c, h_import_json.c, h_import_csv.c, h_import_native.c */
int h_write(struct region *region, struct request *req, struct response *resp);
int h_import_text(struct region *region, struct request *req, struct response *resp);
int h_import_json(struct region *region, struct request *req, struct response *resp);
int h_import_csv(struct region *region, struct request *req, struct response *resp);
int h_import_native(struct region *region, struct request *req, struct response *resp);

/* h_export.c, h_export_csv.c, h_export_native.c, h_federate.c */
int h_export(struct region *region, struct request *req, struct response *resp);
int h_export_csv(struct region *region, struct request *req, struct response *resp);
int h_export_native(struct region *region, struct request *req, struct response *resp);
int h_federate(struct region *region, struct request *req, struct response *resp);

/* h_metadata.c, h_cardinality.c, h_queries.c */
int h_metadata(struct region *region, struct request *req, struct response *resp);
int h_series_count(struct region *region, struct request *req, struct response *resp);
int h_tsdb(struct region *region, struct request *req, struct response *resp);
int h_active_queries(struct region *region, struct request *req, struct response *resp);
int h_top_queries(struct region *region, struct request *req, struct response *resp);
int h_metric_names_stats(struct region *region, struct request *req, struct response *resp);

/* h_admin.c */
int h_delete_series(struct region *region, struct request *req, struct response *resp);
int h_snapshot(struct region *region, struct request *req, struct response *resp);
int h_snapshot_create(struct region *region, struct request *req, struct response *resp);
int h_snapshot_list(struct region *region, struct request *req, struct response *resp);
int h_snapshot_delete(struct region *region, struct request *req, struct response *resp);
int h_snapshot_delete_all(struct region *region, struct request *req, struct response *resp);

/* h_hosts.c */
int h_hosts(struct region *region, struct request *req, struct response *resp);

/* h_status.c, h_constant.c */
int h_constant(struct region *region, struct request *req, struct response *resp);
int h_flags(struct region *region, struct request *req, struct response *resp);
int h_runtimeinfo(struct region *region, struct request *req, struct response *resp);
int h_read(struct region *region, struct request *req, struct response *resp);
int h_health(struct region *region, struct request *req, struct response *resp);
int h_ready(struct region *region, struct request *req, struct response *resp);
int h_metrics(struct region *region, struct request *req, struct response *resp);
