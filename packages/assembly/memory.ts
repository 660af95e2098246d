// Memory of a kernel module:
//
//   0 ……… 64 KiB   scratch and constants at fixed addresses, which become immediate offsets of loads and stores
//   64 KiB ……      static data of the module (--memoryBase)
//   base() ……      the host's: rows, blocks, importance
//
// Kernels of one module never run at the same time, so they may share scratch addresses.

/** The first address that the host may use. Export it from every kernel module. */
export function base(): usize {
  return __heap_base;
}
