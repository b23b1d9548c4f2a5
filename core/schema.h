/* core/schema.h - the core's own migrations, made from schema/NNN_name.sql at build time. Constant. */
#pragma once
#include <pbx/plugin.h>

extern const struct pbx_migration core_schema[];
extern const uint32_t core_schema_count;

#define CORE_SCHEMA_TABLE ((struct pbx_table){ core_schema, core_schema_count, (uint32_t)sizeof(struct pbx_migration) })
