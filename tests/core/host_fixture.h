/* tests/core/host_fixture.h - a plugin host with a folder, settings, a store and a log of its own, and a clock that moves when told */
#pragma once
#include "asking.h"
#include "host_internal.h"

extern struct answer answer; /* to the last command or request */
extern char folder[80], diary[80], config[80];
extern bool loaded_all;

void set_up(void);
void tear_down(void); /* nothing may be left of what was loaded: no timer, no route, no copy of a file */
void offer_services(void);

void write_config(const char *text);
void configure(const char *text); /* and has it read */
void install(const char *name);   /* one of tests/core/plugins, in the folder */
void install_as(const char *plugin, const char *name);

void on_loaded_all(void *context);
void load_all(void);
void load_all_but(const struct pbx_list *disable);
const struct core_plugin *plugin(const char *name); /* never NULL */
const char *state_of(const char *name);
void check_runs(const char *name);

void run(const char *line); /* a command, which may be answered later */
const char *diary_text(void);
uint32_t times_said(const char *text); /* in the log */
