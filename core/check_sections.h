/* core/check_sections.h - `pbxd --check`: is every section of the settings right, also those of plugins that do not run yet? */
#pragma once
#include <pbx/plugin.h>

/* Says every section's first problem, at its line, on the standard error output; true: there is none. Sections that main has declared are taken as good. A plugin's
 * file is loaded where a section is its own, by a child: what its constructors do is not done to us. Stored values are not looked at.
 * parts: those linked in. path, disable: of section "plugins". Before any thread is started, [loop]. */
bool core_check_sections(const struct pbx_plugin *const *parts, uint32_t count, const struct pbx_list *path,
			 const struct pbx_list *disable);
