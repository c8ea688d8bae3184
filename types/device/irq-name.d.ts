/** The kinds of interrupt of a PCI device. @module */
/** The kinds of interrupt of a PCI device. */
export type IrqName = "intx" | "msi" | "msix" | "err" | "req";
