/* explain.c - asks the rules about a case, and puts beside each sentence what it rests on */
#include "explain.h"
#include "address_text.h"
#include "json_auto.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

/* "12:03:04.123 in from 192.0.2.7:5060 by udp: SIP/2.0 486 Busy Here" */
static void show_message(struct pbx_json *list, const struct core_ladder_item *item)
{
	char clock[16], address[64], line[400];
	time_t second = item->message.wall_us / 1000000;
	struct tm parts;

	core_address_print(&item->message.remote, address, sizeof address);
	(void)strftime(clock, sizeof clock, "%H:%M:%S", gmtime_r(&second, &parts));
	(void)snprintf(line, sizeof line, "%s.%03d UTC %s %s by %s: %s", clock, (int)(item->message.wall_us / 1000 % 1000),
		       item->message.sent ? "to" : "from", address, item->message.transport, item->text.line);
	(void)core_json_append_text(list, line); /* without memory there is less to show */
}

static void show_leg(struct pbx_json *list, const struct core_case_leg *leg)
{
	char line[400];

	if (leg->answered && leg->has_media) {
		(void)snprintf(
			line, sizeof line,
			"leg %s: %lld packets came%s%s, %lld went out, %lld lost, %.1f ms jitter, codec %s; SDP names %s, ours is %s",
			leg->id, (long long)leg->packets_in, leg->came[0] ? " from " : "", leg->came, (long long)leg->packets_out,
			(long long)leg->lost, leg->jitter_ms, leg->codec[0] ? leg->codec : "none", leg->told[0] ? leg->told : "nowhere",
			leg->local);
		(void)core_json_append_text(list, line);
	} else if (leg->ended) {
		(void)snprintf(line, sizeof line, "leg %s of %s ended with %u%s%s", leg->id, leg->number, leg->sip_code,
			       leg->reason[0] ? ": " : "", leg->reason);
		(void)core_json_append_text(list, line);
	}
}

static struct pbx_json *evidence(const struct core_case *about)
{
	struct pbx_json *list = core_json_array();
	char line[400];

	if (!list)
		return NULL;
	if (about->message)
		show_message(list, about->message);
	if (about->leg)
		show_leg(list, about->leg);
	if (about->refused.sip_code) {
		(void)snprintf(line, sizeof line, "%s refused %s with %u: %s", about->refused.by, about->refused.number,
			       about->refused.sip_code, about->refused.reason);
		(void)core_json_append_text(list, line);
	}
	if (about->forward_count) {
		(void)snprintf(line, sizeof line, "forwarded: %s", about->forwards);
		(void)core_json_append_text(list, line);
	}
	if (about->ended) {
		(void)snprintf(line, sizeof line, "call %s ended with %u (%s), by %s", about->call_id, about->sip_code, about->cause,
			       about->hangup_by);
		(void)core_json_append_text(list, line);
	}
	return list;
}

/* ---- which rules hold ----------------------------------------------------------------- */

static void say_common(struct core_case *about)
{
	char lasted[32], duration[32];

	about->words.count = 0;
	core_say_duration(about->billsec_ms, lasted);
	core_say_duration(about->duration_ms, duration);
	core_word(&about->words, "who", "the other side");
	core_word(&about->words, "from", "%s", about->from[0] ? about->from : "an unknown caller");
	core_word(&about->words, "to", "%s", about->to);
	core_word(&about->words, "lasted", "%s", lasted);
	core_word(&about->words, "duration", "%s", duration);
	core_word(&about->words, "code", "%u", about->sip_code);
	core_word(&about->words, "cause", "%s", about->cause);
	core_word(&about->words, "ender", "%s", about->hangup_by[0] ? about->hangup_by : "system");
}

static void found(struct core_findings *findings, const struct core_case *about, const struct core_rule *rule)
{
	struct core_finding *finding;

	if (findings->count == CORE_MOST_FINDINGS)
		return;
	finding = &findings->items[findings->count++];
	finding->rule = rule->name;
	finding->verdict = rule->verdict;
	(void)core_words_say(&about->words, rule->sentence, finding->sentence, sizeof finding->sentence);
	if (strncmp(rule->sentence, "{who}", 5) == 0 && strncmp(finding->sentence, "t", 1) == 0)
		finding->sentence[0] = 'T'; /* trunk, the phone: nobody's name */
	finding->evidence = evidence(about);
}

static const struct core_rule *first_that_holds(struct core_case *about, const struct core_rule *rules)
{
	for (;; rules++) {
		about->leg = NULL;
		about->message = NULL;
		say_common(about);
		if (rules->holds(about))
			return rules;
	}
}

static const struct core_rule *sound_of(struct core_case *about, const struct core_case_leg *leg)
{
	for (const struct core_rule *rule = core_sound_rules; rule->name; rule++) {
		say_common(about);
		core_case_blame(about, leg);
		if (rule->holds(about))
			return rule;
	}
	return NULL;
}

static int gravity(const struct core_finding *finding)
{
	static const char *const order[] = { CORE_FAILED, CORE_ONE_WAY, CORE_BAD_SOUND, CORE_OPEN, CORE_GOOD };
	int at = 0;

	while (strcmp(order[at], finding->verdict) != 0)
		at++;
	return at;
}

/* The gravest comes first, the others stay as they are. */
static void bring_forward(struct core_findings *findings)
{
	uint32_t worst = 0;

	for (uint32_t i = 1; i < findings->count; i++)
		if (gravity(&findings->items[i]) < gravity(&findings->items[worst]))
			worst = i;
	struct core_finding finding = findings->items[worst];
	for (; worst > 0; worst--)
		findings->items[worst] = findings->items[worst - 1];
	findings->items[0] = finding;
}

struct core_findings *core_explain(struct core_case *about)
{
	struct core_findings *findings = calloc(1, sizeof *findings);

	if (!findings)
		return NULL;
	const struct core_rule *rule = first_that_holds(about, about->known ? core_call_rules : core_stray_rules);
	found(findings, about, rule);
	for (uint32_t i = 0; i < about->leg_count; i++) {
		rule = sound_of(about, &about->legs[i]);
		if (rule && strcmp(rule->name, findings->items[findings->count - 1].rule) != 0)
			found(findings, about, rule);
	}
	bring_forward(findings);
	return findings;
}

void core_findings_free(struct core_findings *findings)
{
	for (uint32_t i = 0; findings && i < findings->count; i++)
		core_json_free(findings->items[i].evidence);
	free(findings);
}

/* ---- told ----------------------------------------------------------------------------- */

static struct pbx_json *others(const struct core_findings *findings)
{
	AUTO(json) struct pbx_json *list = core_json_array();

	for (uint32_t i = 1; list && i < findings->count; i++) {
		AUTO(json) struct pbx_json *json = core_json_object();

		if (core_json_set_text(json, "rule", findings->items[i].rule) != PBX_OK ||
		    core_json_set_text(json, "verdict", findings->items[i].verdict) != PBX_OK ||
		    core_json_set_text(json, "sentence", findings->items[i].sentence) != PBX_OK ||
		    core_json_append(list, TAKE(json)) != PBX_OK)
			return NULL;
	}
	return TAKE(list);
}

int core_findings_tell(struct core_findings *findings, struct pbx_json *json)
{
	struct core_finding *first = &findings->items[0];
	struct pbx_json *also = others(findings);

	if (!also || core_json_set(json, "also", also) != PBX_OK || core_json_set_text(json, "verdict", first->verdict) != PBX_OK ||
	    core_json_set_text(json, "rule", first->rule) != PBX_OK || !first->evidence ||
	    core_json_set(json, "evidence", TAKE(first->evidence)) != PBX_OK)
		return PBX_ENOMEM;
	return core_json_set_text(json, "sentence", first->sentence);
}
