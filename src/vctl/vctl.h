/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vctl.h: what the command files share.
 *
 * vctl knows <visor/…> only. Each command is a row of a table in its cmd_*.c
 * (commands.c lists the tables); help, man page and completion are made from
 * the rows.
 */
#ifndef VSR_VCTL_VCTL_H
#define VSR_VCTL_VCTL_H

#include <glib.h>

#include <visor/visor.h>

/* Exit codes; part of the interface, see `vctl help exit-codes`. */
enum {
    VCTL_OK = 0,
    VCTL_FAILED = 1,
    VCTL_USAGE = 2,
    VCTL_NO_CONNECTION = 3,
    VCTL_NOT_FOUND = 4,
    VCTL_BAD_STATE = 5,
    VCTL_TIMEOUT = 6,
    VCTL_DENIED = 7,
    /* `run` only: the guest's own status may be any other number. */
    VCTL_RUN_TIMEOUT = 124,
    VCTL_RUN_FAILED = 125,
    VCTL_RUN_CRASHED = 126,
};

typedef struct {
    const char *uri; /* -c, VISOR_URI, or NULL */
    bool json;
    bool quiet;
    visor_connection *conn; /* opened by vctl_connect() */
} vctl;

typedef struct vctl_command {
    const char *name;
    const char *group;     /* heading in `vctl help` */
    const char *arguments; /* "DOMAIN", "FILE", "" */
    const char *summary;   /* one line, no full stop */
    const char *text;      /* the rest of the help */
    const GOptionEntry
        *options; /* or NULL; arg_data is filled by the command */
    int min_args, max_args;
    /* args: what is left after the options, NULL-terminated */
    int (*run)(vctl *v, int n_args, char **args);
} vctl_command;

/* commands.c */
const vctl_command *vctl_command_find(const char *name);
const vctl_command *vctl_command_at(guint index); /* NULL after the last */

/* Tables, each ended by a row without a name. */
extern const vctl_command vctl_domain_commands[];
extern const vctl_command vctl_metadata_commands[];
extern const vctl_command vctl_device_commands[];
extern const vctl_command vctl_set_commands[];
extern const vctl_command vctl_info_commands[];
extern const vctl_command vctl_stats_commands[];
extern const vctl_command vctl_run_commands[];
extern const vctl_command vctl_console_commands[];
extern const vctl_command vctl_event_commands[];
extern const vctl_command vctl_host_commands[];
extern const vctl_command vctl_help_commands[];

/* Opens v->conn once; on failure says why and returns false. */
bool vctl_connect(vctl *v, uint32_t flags);
/* By number, uuid or name; NULL after having said why (*status is set). */
visor_domain *vctl_domain(vctl *v, const char *what, int *status);
/* Prints "vctl: message", frees the error, returns the exit code for it. */
int vctl_fail(visor_error *err);
int vctl_usage(const char *format, ...) G_GNUC_PRINTF(1, 2);
/* Unless --quiet: one line to stdout for people. */
void vctl_say(const vctl *v, const char *format, ...) G_GNUC_PRINTF(2, 3);
char *vctl_read_file(const char *path); /* "-": stdin; NULL after an error */

/* affect.c: what a change is for. Three rows of an option table, words of the
 * help, and the VISOR_AFFECT_* they stand for. */
extern gboolean vctl_affect_live, vctl_affect_config, vctl_affect_persistent;
#define VCTL_AFFECT                                                     \
    { "live",                                                           \
      0,                                                                \
      0,                                                                \
      G_OPTION_ARG_NONE,                                                \
      &vctl_affect_live,                                                \
      "change the running domain",                                      \
      NULL },                                                           \
        { "config",                                                     \
          0,                                                            \
          0,                                                            \
          G_OPTION_ARG_NONE,                                            \
          &vctl_affect_config,                                          \
          "change the definition",                                      \
          NULL },                                                       \
    {                                                                   \
        "persistent", 0, 0, G_OPTION_ARG_NONE, &vctl_affect_persistent, \
            "both, as far as there are both", NULL                      \
    }
#define VCTL_AFFECT_HELP                                                 \
    "Without --live and --config the running domain is changed, or the " \
    "definition of one that is off."
uint32_t vctl_affected(visor_domain *dom);

/* cmd_device.c: the MAC address of the interface with that link on the host, or
 * NULL. */
char *vctl_mac_of_link(visor_domain *dom, const char *link);

/* cmd_console.c: this terminal on a serial port; VISOR_CONSOLE_* flags. */
int vctl_console_of(vctl *v, visor_domain *dom, uint32_t port, uint32_t flags);

/* output.c: a JSON document. */
typedef struct vctl_out vctl_out;
vctl_out *vctl_out_new(void);
void vctl_out_begin(vctl_out *out); /* object */
void vctl_out_end(vctl_out *out);
void vctl_out_begin_list(vctl_out *out, const char *key);
void vctl_out_end_list(vctl_out *out);
void vctl_out_key_begin(vctl_out *out, const char *key); /* nested object */
void vctl_out_string(vctl_out *out, const char *key, const char *value);
void vctl_out_number(vctl_out *out, const char *key, int64_t value);
void vctl_out_bool(vctl_out *out, const char *key, bool value);
void vctl_out_null(vctl_out *out, const char *key);
/* Writes the document and a newline to stdout, frees. One line: compact. */
void vctl_out_print(vctl_out *out, bool one_line);

/* Left-aligned columns, two spaces between. */
typedef struct vctl_table vctl_table;
vctl_table *vctl_table_new(const char *const *headings);
void vctl_table_row(vctl_table *table, ...) G_GNUC_NULL_TERMINATED;
void vctl_table_print(vctl_table *table);

/* terminal.c */
bool vctl_terminal_raw(int fd); /* until vctl_terminal_restore() */
void vctl_terminal_restore(void);
/* Copies terminal ↔ stream until the stream ends or Ctrl-] is typed. */
int vctl_terminal_pump(visor_stream *stream, bool *left);

char *vctl_xml_escape(const char *text);
char *vctl_size_text(uint64_t kib);
/* "256M", "1G", "262144" (KiB); false if it is none. */
bool vctl_size_parse(const char *text, uint64_t *kib);

#endif
