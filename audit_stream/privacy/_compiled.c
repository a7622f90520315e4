/* The hot primitives of sealing in C: the same functions, with the same answers, as `plain.py`,
 * which is used where this module was not built. `seal` stands in `_sealing.c`,
 * `Derivation` in `_derivation.c`. `walk` holds the interpreter lock, for its context is shared,
 * and takes some microseconds.
 */

#include "_libcrypto.h"

EVP_MD *sha256_md, *sha512_md;
EVP_CIPHER *aes_gcm;
static EVP_MD_CTX *digest_ctx;

static PyObject *walk(PyObject *self, PyObject *args) {
    const char *from;
    Py_ssize_t len;
    unsigned long long path;
    int depth, bottom;
    unsigned char node[KEY];
    if (!PyArg_ParseTuple(args, "y#Kii", &from, &len, &path, &depth, &bottom)) return NULL;
    if (!sized(len, KEY, "node")) return NULL;
    if (depth < 0 || bottom > TREE_DEPTH || depth > bottom) {
        PyErr_SetString(PyExc_ValueError, "depths must be 0 <= depth <= bottom <= 28");
        return NULL;
    }
    memcpy(node, from, KEY);
    int good = descend(digest_ctx, node, path, depth, bottom);
    PyObject *out = good ? PyBytes_FromStringAndSize((char *)node, KEY) : refused();
    OPENSSL_cleanse(node, sizeof node);
    return out;
}

static PyMethodDef methods[] = {
    {"walk", walk, METH_VARARGS, "walk(node, path, depth, bottom) -> node"},
    {"seal", seal, METH_VARARGS, "seal(rises, partition, source, tag) -> (lines, hashes)"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_compiled", "Sealing's primitives over libcrypto.", -1, methods,
    NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__compiled(void) {
    sha256_md = EVP_MD_fetch(NULL, "SHA256", NULL);
    sha512_md = EVP_MD_fetch(NULL, "SHA512", NULL);
    aes_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    digest_ctx = EVP_MD_CTX_new();
    if (!sha256_md || !sha512_md || !aes_gcm || !digest_ctx) {
        PyErr_SetString(PyExc_ImportError, "libcrypto lacks SHA-256, SHA-512 or AES-256-GCM");
        return NULL;
    }
    PyObject *made = PyModule_Create(&module), *type = PyType_FromSpec(&derivation_spec);
    if (made != NULL && (type == NULL || PyModule_AddObjectRef(made, "Derivation", type) < 0))
        Py_CLEAR(made);
    Py_XDECREF(type);
    return made;
}
