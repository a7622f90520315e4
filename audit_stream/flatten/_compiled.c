/* Reading a raw event in the form that nearly all of them have, without building its JSON.
 *
 * `read_common` accepts a part of what `event.read_exactly` accepts and gives the same answer; whatever it
 * does not know for certain it leaves to that one, which alone gives reasons. So it stays small:
 *
 *   printable ASCII without a backslash: a text ends at the next quotation mark
 *   members of the expected types; unknown ones are passed over, plain numbers only, few levels deep
 *   texts within their limits; a status that the status map was asked for before
 *
 * It reads bytes anybody may have sent: a position is never moved past `end`, nothing is written
 * but the buffer in `leaks`, whose size is that of all texts at their limits, and no state is kept.
 */

#define _GNU_SOURCE /* memmem */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>

#define MAX_VALUE 1048576 /* these four are those of `event.py` */
#define MAX_TEXT 256
#define MAX_ERROR_CODE 128
#define MIN_LEAK 5
#define MAX_DEPTH 16   /* of members that nobody reads */
#define MAX_DIGITS 15  /* a number this short is read alike by every parser */
#define MAX_MAPPED 32  /* the longest delivery status, generously */

enum { ID, MESSAGE_ID, TYPE, STATUS, TIMESTAMP, WORKFLOW_ID, CARRIER_MESSAGE_ID, ERROR_CODE,
       AGENT_ID, TENANT_ID, EXTERNAL_ID, ADDRESS, TEXTS, TENANT, RECIPIENT, REASONS };

typedef struct {
    const char *at; /* NULL for null, and for a member that is not there */
    Py_ssize_t len;
} Text;

typedef struct {
    const char *at, *end;
    Text texts[TEXTS];
    int recipient; /* whether there is one */
} Scan;

typedef struct {
    const char *name;
    size_t len;
    int slot;
} Member;

#define MEMBER(name, slot) {name, sizeof(name) - 1, slot}
static const Member EVENT[] = {
    MEMBER("id", ID), MEMBER("message_id", MESSAGE_ID), MEMBER("type", TYPE),
    MEMBER("status", STATUS), MEMBER("timestamp", TIMESTAMP), MEMBER("workflow_id", WORKFLOW_ID),
    MEMBER("carrier_message_id", CARRIER_MESSAGE_ID), MEMBER("error_code", ERROR_CODE),
    MEMBER("agent_id", AGENT_ID), MEMBER("tenant", TENANT), MEMBER("recipient", RECIPIENT),
    MEMBER("reasons", REASONS), {NULL, 0, 0},
};
static const Member IN_TENANT[] = {MEMBER("id", TENANT_ID), {NULL, 0, 0}};
static const Member IN_RECIPIENT[] = {
    MEMBER("external_id", EXTERNAL_ID), MEMBER("address", ADDRESS), {NULL, 0, 0},
};

/* Functions that return an int give 1 when they read what they are named for, else 0. */

static int plain(const char *at, Py_ssize_t len) {
    unsigned char odd = 0;
    for (Py_ssize_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)at[i];
        odd |= (unsigned char)((c < 0x20) | (c > 0x7e) | (c == '\\'));
    }
    return !odd;
}

static void spaces(Scan *scan) {
    while (scan->at < scan->end && *scan->at == ' ') scan->at++;
}

static int sign(Scan *scan, char wanted) {
    spaces(scan);
    if (scan->at == scan->end || *scan->at != wanted) return 0;
    scan->at++;
    return 1;
}

static int next_is(Scan *scan, char wanted) {
    spaces(scan);
    return scan->at < scan->end && *scan->at == wanted;
}

static int word(Scan *scan, const char *wanted, Py_ssize_t len) {
    if (scan->end - scan->at < len || memcmp(scan->at, wanted, (size_t)len) != 0) return 0;
    scan->at += len;
    return 1;
}

static int text(Scan *scan, Text *out) {
    if (!sign(scan, '"')) return 0;
    const char *close = memchr(scan->at, '"', (size_t)(scan->end - scan->at));
    if (close == NULL) return 0;
    out->at = scan->at;
    out->len = close - scan->at;
    scan->at = close + 1;
    return 1;
}

static int text_or_null(Scan *scan, Text *out) {
    if (next_is(scan, '"')) return text(scan, out);
    out->at = NULL;
    out->len = 0;
    return word(scan, "null", 4);
}

static int digits(Scan *scan) {
    const char *start = scan->at;
    while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9') scan->at++;
    return scan->at > start && scan->at - start <= MAX_DIGITS;
}

static int number(Scan *scan) {
    if (scan->at < scan->end && *scan->at == '-') scan->at++;
    const char *first = scan->at;
    if (!digits(scan) || (*first == '0' && scan->at - first > 1)) return 0;
    if (scan->at < scan->end && *scan->at == '.') {
        scan->at++;
        if (!digits(scan)) return 0;
    }
    return 1; /* an exponent is left over, and refused by what has to come next */
}

static int pass_over(Scan *scan, int depth) {
    Text ignored;
    spaces(scan);
    if (scan->at == scan->end || depth > MAX_DEPTH) return 0;
    char open = *scan->at;
    if (open == '"') return text(scan, &ignored);
    if (open == 'n') return word(scan, "null", 4);
    if (open == 't') return word(scan, "true", 4);
    if (open == 'f') return word(scan, "false", 5);
    if (open != '{' && open != '[') return number(scan);
    char close = open == '{' ? '}' : ']';
    scan->at++;
    if (sign(scan, close)) return 1;
    do {
        if (open == '{' && !(text(scan, &ignored) && sign(scan, ':'))) return 0;
        if (!pass_over(scan, depth + 1)) return 0;
    } while (sign(scan, ','));
    return sign(scan, close);
}

static int object(Scan *scan, const Member *members);

/* The value of the member `slot`. The last of several of one name counts, as for the parsers. */
static int value_of(Scan *scan, int slot) {
    Text *texts = scan->texts, none = {NULL, 0};
    switch (slot) {
    case TENANT:
        texts[TENANT_ID] = none;
        return object(scan, IN_TENANT);
    case RECIPIENT:
        texts[EXTERNAL_ID] = texts[ADDRESS] = none;
        scan->recipient = 1;
        return object(scan, IN_RECIPIENT);
    case REASONS: /* they may turn a word into another status */
        return text_or_null(scan, &none) && none.at == NULL;
    case CARRIER_MESSAGE_ID: case ERROR_CODE: case AGENT_ID: case EXTERNAL_ID: case ADDRESS:
        return text_or_null(scan, &texts[slot]);
    default:
        return text(scan, &texts[slot]);
    }
}

static int member(Scan *scan, const Member *members) {
    Text name;
    if (!text(scan, &name) || !sign(scan, ':')) return 0;
    for (const Member *each = members; each->name != NULL; each++)
        if (each->len == (size_t)name.len && memcmp(each->name, name.at, each->len) == 0)
            return value_of(scan, each->slot);
    return pass_over(scan, 1);
}

static int object(Scan *scan, const Member *members) {
    if (!sign(scan, '{')) return 0;
    if (sign(scan, '}')) return 1;
    do {
        if (!member(scan, members)) return 0;
    } while (sign(scan, ','));
    return sign(scan, '}');
}

static int whole(Scan *scan) {
    if (!object(scan, EVENT)) return 0;
    spaces(scan);
    return scan->at == scan->end;
}

static int within_limits(const Scan *scan) {
    const Text *texts = scan->texts;
    if (!scan->recipient || texts[ERROR_CODE].len > MAX_ERROR_CODE) return 0;
    for (int i = 0; i < TEXTS; i++) {
        int may_be_null = i == CARRIER_MESSAGE_ID || i == ERROR_CODE || i == AGENT_ID;
        int may_be_empty = i == ERROR_CODE;
        if (i == EXTERNAL_ID || i == ADDRESS) may_be_null = may_be_empty = 1;
        if (texts[i].len > MAX_TEXT) return 0;
        if (texts[i].at == NULL ? !may_be_null : texts[i].len == 0 && !may_be_empty) return 0;
    }
    return 1;
}

/* Whether a clear field holds the recipient's own id or address. */
static int leaks(const Scan *scan, const char *mapped, size_t mapped_len) {
    char clear[(TEXTS - 2) * (MAX_TEXT + 1) + MAX_MAPPED];
    size_t size = 0;
    for (int i = 0; i < EXTERNAL_ID; i++) {
        if (scan->texts[i].at == NULL) continue;
        memcpy(clear + size, scan->texts[i].at, (size_t)scan->texts[i].len);
        size += (size_t)scan->texts[i].len;
        clear[size++] = '\0'; /* no text holds it: nothing matches across two fields */
    }
    memcpy(clear + size, mapped, mapped_len);
    size += mapped_len;
    for (int i = EXTERNAL_ID; i <= ADDRESS; i++) {
        const Text *personal = &scan->texts[i];
        if (personal->len >= MIN_LEAK &&
            memmem(clear, size, personal->at, (size_t)personal->len) != NULL)
            return 1;
    }
    return 0;
}

static PyObject *string(Text text) {
    if (text.at == NULL) return Py_NewRef(Py_None);
    return PyUnicode_DecodeASCII(text.at, text.len, NULL);
}

/* What the status map answered for status and error code: borrowed, NULL when it was not asked. */
static PyObject *answer(PyObject *answers, const Scan *scan) {
    PyObject *key = string(scan->texts[STATUS]);
    if (key != NULL && scan->texts[ERROR_CODE].at != NULL) {
        PyObject *code = string(scan->texts[ERROR_CODE]);
        key = code == NULL ? (Py_DECREF(key), NULL) : Py_BuildValue("(NN)", key, code);
    }
    if (key == NULL) return NULL;
    PyObject *found = PyDict_GetItemWithError(answers, key);
    Py_DECREF(key);
    return found;
}

static PyObject *event(PyObject *type, const Text *texts, PyObject *mapped) {
    static const int ORDER[] = {ID, MESSAGE_ID, CARRIER_MESSAGE_ID, TYPE, -1, STATUS, TIMESTAMP,
                                ERROR_CODE, WORKFLOW_ID, AGENT_ID, TENANT_ID, EXTERNAL_ID, ADDRESS};
    PyObject *fields = PyTuple_New(sizeof ORDER / sizeof *ORDER);
    if (fields == NULL) return NULL;
    for (size_t i = 0; i < sizeof ORDER / sizeof *ORDER; i++) {
        PyObject *field = ORDER[i] < 0 ? Py_NewRef(mapped) : string(texts[ORDER[i]]);
        if (field == NULL || PyTuple_SetItem(fields, (Py_ssize_t)i, field) < 0) {
            Py_DECREF(fields);
            return NULL;
        }
    }
    PyObject *made = PyObject_CallObject(type, fields);
    Py_DECREF(fields);
    return made;
}

static PyObject *read_common(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    Scan scan = {0};
    char *at;
    const char *status;
    Py_ssize_t len, status_len;
    if (count != 3 || !PyDict_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError, "read_common(value, answers: dict, type)");
        return NULL;
    }
    if (!PyBytes_Check(args[0])) return Py_NewRef(Py_NotImplemented);
    if (PyBytes_AsStringAndSize(args[0], &at, &len) < 0) return NULL;
    scan.at = at;
    scan.end = at + len;
    if (len > MAX_VALUE || !plain(at, len) || !whole(&scan) || scan.texts[STATUS].at == NULL)
        return Py_NewRef(Py_NotImplemented);
    PyObject *mapped = answer(args[1], &scan);
    if (mapped == NULL && PyErr_Occurred()) return NULL;
    if (mapped == NULL || !PyUnicode_Check(mapped)) return Py_NewRef(Py_NotImplemented);
    status = PyUnicode_AsUTF8AndSize(mapped, &status_len);
    if (status == NULL) return NULL;
    if (strcmp(status, "intermediate") == 0) return Py_NewRef(Py_None);
    if (status_len > MAX_MAPPED || !within_limits(&scan) ||
        leaks(&scan, status, (size_t)status_len))
        return Py_NewRef(Py_NotImplemented);
    return event(args[2], scan.texts, mapped);
}

static PyMethodDef methods[] = {
    {"read_common", (PyCFunction)(void (*)(void))read_common, METH_FASTCALL,
     "read_common(value, answers, type) -> Event | None | NotImplemented"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_compiled", "Raw events in their common form.", -1, methods,
    NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__compiled(void) { return PyModule_Create(&module); }
