/*
 * quirks.c - phones that want their SDP otherwise than the book says
 *
 * A phone is known by its User-Agent: of its registration when we call it, of its INVITE when it calls. What we bring along was learned from
 * models in use; rows of the settings come first, and one without anything in it takes a phone out.
 */
#include "quirks.h"
#include <fnmatch.h>

#define CODECS(...)                                                                                                                        \
	{                                                                                                                                  \
		.items = (const char *const[]){ __VA_ARGS__ },                                                                             \
		.count = sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(const char *)                                               \
	}
#define WITH_G726 CODECS("PCMU", "PCMA", "G722", "G729", "G726-32")
#define WITHOUT_G726 CODECS("PCMU", "PCMA", "G722", "G729")

static const struct ua_quirk brought_along[] = {
	/* Their firmware finds G.711, G.722 and G.729 by number alone, and stumbles over lines that name them. */
	{ .agent = "*ZIP*33G*", .skip_static_rtpmap = true, .codecs = WITH_G726 },
	{ .agent = "*ZIP*37G*", .skip_static_rtpmap = true, .codecs = WITH_G726 },
	{ .agent = "*Yealink*T23G*", .codecs = WITH_G726 },
	{ .agent = "*Yealink*T28G*", .codecs = WITH_G726 },
	{ .agent = "*Yealink*T46[SG]*", .codecs = WITH_G726 },
	{ .agent = "*Yealink*T33G*", .codecs = WITHOUT_G726 },
	{ .agent = "*Grandstream*", .codecs = WITH_G726 },
	{ .agent = "Cisco*SPA*", .codecs = WITHOUT_G726 },
	{ .agent = "Linksys*SPA*", .codecs = WITHOUT_G726 },
	{ .agent = "OBIHAI*", .codecs = WITHOUT_G726 },
};

static const struct ua_quirk *row_at(const struct ua_settings *settings, uint32_t index)
{
	return (const struct ua_quirk *)((const char *)settings->phone_quirks.rows + (size_t)index * settings->phone_quirks.row_size);
}

const struct ua_quirk *ua_quirk_at(const struct ua *ua, uint32_t index, bool *ret_brought_along)
{
	uint32_t own = ua->settings->phone_quirks.count;

	*ret_brought_along = index >= own;
	if (index < own)
		return row_at(ua->settings, index);
	return index - own < sizeof brought_along / sizeof brought_along[0] ? &brought_along[index - own] : NULL;
}

const struct ua_quirk *ua_quirk_of(const struct ua *ua, const char *user_agent)
{
	const struct ua_quirk *quirk = NULL;
	bool is_ours;

	for (uint32_t i = 0; *user_agent && (quirk = ua_quirk_at(ua, i, &is_ours)); i++)
		if (fnmatch(quirk->agent, user_agent, FNM_CASEFOLD) == 0)
			return quirk;
	return NULL;
}

int ua_quirks_check(const struct ua_settings *settings, struct pbx_diag *diag)
{
	for (uint32_t i = 0; i < settings->phone_quirks.count; i++) {
		const struct ua_quirk *row = row_at(settings, i);

		if (row->agent[0] && (row->ptime_ms == 0 || row->ptime_ms % 10 == 0))
			continue;
		pbx_diag_set(diag, "phone_quirks",
			     row->agent[0] ? "packets of '%.60s': %u ms is no multiple of 10"
					   : "agent is empty: write a beginning, as in Acme-3*",
			     row->agent, row->ptime_ms);
		return PBX_EINVAL;
	}
	return PBX_OK;
}
