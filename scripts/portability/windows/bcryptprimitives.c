// Rust's standard library takes its random numbers from this DLL, which Wine 8 does not have. It stands beside the
// program, and there only.
#include <windows.h>

// RtlGenRandom, under the name by which advapi32 exports it.
BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG bytes);

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE buffer, SIZE_T bytes) {
  const SIZE_T most = 1 << 28;
  while (bytes > 0) {
    ULONG part = (ULONG)(bytes < most ? bytes : most);
    if (!SystemFunction036(buffer, part)) return FALSE;
    buffer += part;
    bytes -= part;
  }
  return TRUE;
}
