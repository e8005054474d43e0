// Compiles HLSL with Microsoft's DXC, with the arguments that wgpu gives it.
//
// usage: dxc.exe [TARGET ENTRY FILE]...
//   TARGET   such as cs_6_0
//   ENTRY    name of the entry point
//   FILE     the HLSL
//
// Prints the compiler's version, then a line for each file: "ok BYTES FILE", or "failed FILE" followed by the compiler's
// words. Exit code 0 when all compile, 1 when one does not, 2 when the compiler itself cannot be had.
//
// The library dxcompiler.dll lies beside the program. It comes without a header for mingw, so the few of its interfaces
// that are called are declared here, as far as they are called; names and order are those of Microsoft's dxcapi.h.
#include <stdio.h>
#include <stdlib.h>
#include <windows.h>

typedef struct {
  const void *text;
  SIZE_T bytes;
  UINT encoding;
} DxcBuffer;

typedef struct Blob Blob;
typedef struct {
  HRESULT(WINAPI *QueryInterface)(Blob *, REFIID, void **);
  ULONG(WINAPI *AddRef)(Blob *);
  ULONG(WINAPI *Release)(Blob *);
  void *(WINAPI *GetBufferPointer)(Blob *);
  SIZE_T(WINAPI *GetBufferSize)(Blob *);
} BlobTable;
struct Blob {
  const BlobTable *table;
};

typedef struct Result Result;
typedef struct {
  HRESULT(WINAPI *QueryInterface)(Result *, REFIID, void **);
  ULONG(WINAPI *AddRef)(Result *);
  ULONG(WINAPI *Release)(Result *);
  HRESULT(WINAPI *GetStatus)(Result *, HRESULT *);
  HRESULT(WINAPI *GetResult)(Result *, Blob **);
  HRESULT(WINAPI *GetErrorBuffer)(Result *, Blob **);
} ResultTable;
struct Result {
  const ResultTable *table;
};

typedef struct Compiler Compiler;
typedef struct {
  HRESULT(WINAPI *QueryInterface)(Compiler *, REFIID, void **);
  ULONG(WINAPI *AddRef)(Compiler *);
  ULONG(WINAPI *Release)(Compiler *);
  HRESULT(WINAPI *Compile)(Compiler *, const DxcBuffer *, LPCWSTR *, UINT32, void *, REFIID, void **);
} CompilerTable;
struct Compiler {
  const CompilerTable *table;
};

typedef struct Version Version;
typedef struct {
  HRESULT(WINAPI *QueryInterface)(Version *, REFIID, void **);
  ULONG(WINAPI *AddRef)(Version *);
  ULONG(WINAPI *Release)(Version *);
  HRESULT(WINAPI *GetVersion)(Version *, UINT32 *, UINT32 *);
} VersionTable;
struct Version {
  const VersionTable *table;
};

typedef HRESULT(WINAPI *Create)(REFCLSID, REFIID, void **);

static const GUID compiler_class = {0x73e22d93, 0xe6ce, 0x47f3, {0xb5, 0xbf, 0xf0, 0x66, 0x4f, 0x39, 0xc1, 0xb0}};
static const GUID compiler_interface = {0x228b4687, 0x5a6a, 0x4730, {0x90, 0x0c, 0x97, 0x02, 0xb2, 0x20, 0x3f, 0x54}};
static const GUID result_interface = {0x58346cda, 0xdde7, 0x4497, {0x94, 0x61, 0x6f, 0x87, 0xaf, 0x5e, 0x06, 0x59}};
static const GUID version_interface = {0xb04f5b50, 0x2059, 0x4f12, {0xa8, 0xff, 0xa1, 0xe0, 0xcd, 0xe1, 0xcc, 0x7e}};
static const UINT utf8 = 65001;

static char *read_file(const char *name, SIZE_T *bytes) {
  FILE *file = fopen(name, "rb");
  if (file == NULL) return NULL;
  char *text = NULL;
  long length = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
  if (length > 0 && fseek(file, 0, SEEK_SET) == 0) text = malloc((size_t)length);
  if (text != NULL && fread(text, 1, (size_t)length, file) != (size_t)length) {
    free(text);
    text = NULL;
  }
  fclose(file);
  *bytes = (SIZE_T)length;
  return text;
}

// Whether it compiles.
static int compile(Compiler *compiler, const char *target, const char *entry, const char *name) {
  WCHAR wide_target[16], wide_entry[128];
  DxcBuffer source = {NULL, 0, utf8};
  source.text = read_file(name, &source.bytes);
  if (source.text == NULL || !MultiByteToWideChar(CP_UTF8, 0, target, -1, wide_target, 16) ||
      !MultiByteToWideChar(CP_UTF8, 0, entry, -1, wide_entry, 128)) {
    printf("failed %s: it cannot be read, or the name of its entry point is too long\n", name);
    return 0;
  }
  LPCWSTR arguments[] = {L"-E", wide_entry, L"-T", wide_target, L"-HV", L"2018", L"-no-warnings", L"-Ges"};
  Result *result = NULL;
  HRESULT status = compiler->table->Compile(compiler, &source, arguments, sizeof arguments / sizeof *arguments, NULL,
                                            &result_interface, (void **)&result);
  free((void *)source.text);
  if (FAILED(status)) {
    printf("failed %s: the compiler itself, with %08lx\n", name, (unsigned long)status);
    return 0;
  }
  Blob *object = NULL, *words = NULL;
  if (FAILED(result->table->GetStatus(result, &status))) status = E_FAIL;
  result->table->GetErrorBuffer(result, &words);
  if (SUCCEEDED(status)) result->table->GetResult(result, &object);
  SIZE_T bytes = object != NULL ? object->table->GetBufferSize(object) : 0;
  SIZE_T said = words != NULL ? words->table->GetBufferSize(words) : 0;
  // The end of the string counts as a byte.
  int good = bytes > 0 && said <= 1;
  if (good) {
    printf("ok %lu %s\n", (unsigned long)bytes, name);
  } else {
    printf("failed %s:\n%.*s\n", name, (int)said, said > 0 ? (const char *)words->table->GetBufferPointer(words) : "");
  }
  if (object != NULL) object->table->Release(object);
  if (words != NULL) words->table->Release(words);
  result->table->Release(result);
  return good;
}

int main(int count, char **arguments) {
  if (count < 4 || count % 3 != 1) {
    fprintf(stderr, "usage: dxc.exe [TARGET ENTRY FILE]...\n");
    return 2;
  }
  HMODULE library = LoadLibraryA("dxcompiler.dll");
  Create create = library == NULL ? NULL : (Create)(void *)GetProcAddress(library, "DxcCreateInstance");
  Compiler *compiler = NULL;
  if (create == NULL || FAILED(create(&compiler_class, &compiler_interface, (void **)&compiler))) {
    fprintf(stderr, "error: no compiler in dxcompiler.dll; put the library beside this program\n");
    return 2;
  }
  Version *version = NULL;
  UINT32 major = 0, minor = 0;
  if (SUCCEEDED(compiler->table->QueryInterface(compiler, &version_interface, (void **)&version))) {
    version->table->GetVersion(version, &major, &minor);
    version->table->Release(version);
  }
  printf("Microsoft DXC %u.%u\n", major, minor);
  int failures = 0;
  for (int at = 1; at < count; at += 3) {
    failures += !compile(compiler, arguments[at], arguments[at + 1], arguments[at + 2]);
    fflush(stdout);
  }
  return failures > 0;
}
