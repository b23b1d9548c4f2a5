/* core/speech.h - free text, spoken by an engine that is installed beside us: which engine, how it is run, and where what it said is kept
 *
 * A text in a language and a voice has one file in one folder, named by their hash; it is spoken once and heard from the file after that. What the
 * engine writes is shaped and put there by the media driver (rtp/speech.c), which reads sound files. */
#pragma once
#include <pbx/prompts.h>

#define CORE_TEXT_PREFIX "text:" /* of a prompt that is no id and no file but a text to be spoken */

/* engine "auto": the best that is installed, "off": none, else a command line with {language} and {file}. folder NULL: nowhere to keep it, so off.
 * Copies. PBX_OK, PBX_ENOMEM. [loop] */
int core_speech_set(const char *engine, const char *folder, uint32_t most_mib);
int core_speech_check(const char *engine, struct pbx_diag *diag); /* PBX_OK, PBX_EINVAL (it is none of these). [any] */
void core_speech_fini(void);

/* One text on its way to a file. */
struct core_speech;

/* PBX_OK, PBX_EINVAL (no text, or too long), PBX_ENOTSUP (no engine for this language; diag tells), PBX_ENOMEM. [loop] */
int core_speech_new(const char *language, const char *text, struct core_speech **ret_speech, struct pbx_diag *diag);
void core_speech_free(struct core_speech *speech);
/* Whether core_speech_new would find an engine. [loop] */
bool core_speech_can(const char *language);

/* Who makes the files: speak takes the speech, makes its file in the pool unless it is there, and gives it back to done, which frees it; diag tells
 * what failed. PBX_OK, PBX_ENOMEM (the speech is still the caller's). NULL: nobody, as long as the media driver does not run. [loop] */
typedef void (*core_spoken_fn)(void *self, struct core_speech *speech, int result, const struct pbx_diag *diag);
typedef int (*core_speak_fn)(struct pbx_host *owner, struct core_speech *speech, core_spoken_fn done, void *self);
void core_speech_set_maker(core_speak_fn speak);
core_speak_fn core_speech_maker(void);

/* Who cuts a sound file to the words, makes it as loud as every prompt and writes it as one. PBX_OK, PBX_EINVAL (from is no sound, or nothing is heard in it; diag tells), PBX_EIO,
 * PBX_ENOMEM. [work] */
typedef int (*core_shape_fn)(const char *from, const char *to, struct pbx_diag *diag);
void core_speech_set_shaper(core_shape_fn shape);
core_shape_fn core_speech_shaper(void); /* [any]; NULL: nobody */

/* ---- [any], also in the pool, for one thread at a time ---- */
const char *core_speech_path(const struct core_speech *speech);    /* where it is kept */
const char *core_speech_folder(const struct core_speech *speech);  /* of such files */
uint64_t core_speech_most_bytes(const struct core_speech *speech); /* in all of them */
/* Has the engine write it to a sound file of its liking; waits for it. PBX_OK, PBX_EIO (it failed; diag tells), PBX_ETIMEOUT. [work] */
int core_speech_run(const struct core_speech *speech, const char *file, struct pbx_diag *diag);
