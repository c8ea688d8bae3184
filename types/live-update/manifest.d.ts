/**
 * What a hand-over says: which descriptors are what, and everything else that the successor cannot ask the kernel for.
 *
 * It comes in two parts. The manifest travels with the descriptors while the devices still run; nothing that it says changes
 * from then on. The frozen part is what changes to the last moment: it follows when nothing here looks at the devices any more.
 *
 * @module
 */
import type { ContainerMode } from "../container/container.js";
import type { IoeventfdState, IrqState } from "../device/state.js";
import type { MsiMessage } from "../kvm/routing.js";
import type { UserContainerState } from "../vfio-user/client/container.js";
/** An index into the descriptors that travel with the manifest. Every one of them is spoken of exactly once. */
export type DescriptorIndex = number;
/** Memory that is shared by descriptor. */
export interface FileMemory {
    readonly kind: "file";
    /** The program's name for it; undefined for memory that is only mapped. */
    readonly name: string | undefined;
    readonly descriptor: DescriptorIndex;
    /** In bytes, from the start of the file. */
    readonly length: number;
    /** The size of its pages. */
    readonly pageSize: number;
    /** Whether it is kept in memory (`mlock`), which does not travel and is done anew. */
    readonly locked: boolean;
    /** For messages. */
    readonly label: string;
}
/** A part of a device's region, mapped for other devices by address (legacy containers). */
export interface BarMemory {
    readonly kind: "bar";
    /** The container's name, and the device's address in it. */
    readonly container: string;
    readonly device: string;
    readonly region: number;
    /** In the region, in bytes. */
    readonly offset: number;
    readonly length: number;
}
export type MemoryItem = FileMemory | BarMemory;
/** One recorded mapping, exactly as it was made. */
export interface MappingItem {
    readonly iova: bigint;
    readonly length: number;
    readonly read: boolean;
    readonly write: boolean;
    /** An index into {@link Manifest.memory}. */
    readonly memory: number;
    /** In the memory, in bytes. */
    readonly offset: number;
}
/** A kind of interrupt that is on. */
export type IrqItem = IrqState<DescriptorIndex>;
/** A register that the kernel writes when an eventfd is signalled. */
export type IoeventfdItem = IoeventfdState<DescriptorIndex>;
export interface DeviceItem {
    /** Its PCI address, or a mediated device's UUID, as sysfs spells them. */
    readonly address: string;
    readonly descriptor: DescriptorIndex;
    /** Legacy: its group's number. */
    readonly group: number | undefined;
    /** iommufd: its id there, and that of the page table that it is attached to. */
    readonly iommufdId: number | undefined;
    readonly pageTableId: number | undefined;
    readonly irqs: readonly IrqItem[];
    readonly ioeventfds: readonly IoeventfdItem[];
}
export interface ContainerItem {
    /** The program's name for it. */
    readonly name: string;
    readonly mode: ContainerMode;
    /** `/dev/vfio/vfio`, or the iommufd. */
    readonly descriptor: DescriptorIndex;
    /** iommufd: the id of its address space. */
    readonly ioas: number | undefined;
    /** Legacy: its groups. */
    readonly groups: readonly {
        readonly id: number;
        readonly descriptor: DescriptorIndex;
    }[];
    readonly devices: readonly DeviceItem[];
    readonly mappings: readonly MappingItem[];
}
/** A vfio-user container: the connection with a server, and the device that it emulates. Since version 2 of the format. */
export interface SocketItem extends UserContainerState<DescriptorIndex> {
    /** The program's name for it. No other container has it. */
    readonly name: string;
    readonly mappings: readonly MappingItem[];
}
/** A device's interrupts that go to a guest. */
export type ConnectionItem = {
    readonly kind: "msi" | "msix";
    /** The program's name of the virtual machine. */
    readonly machine: string;
    readonly container: string;
    readonly device: string;
    readonly masking: "irqfd" | "eventfd";
    /** `guest` is the second eventfd of masking by eventfd. */
    readonly vectors: readonly {
        readonly index: number;
        readonly guest: DescriptorIndex | undefined;
    }[];
} | {
    readonly kind: "intx";
    readonly machine: string;
    readonly container: string;
    readonly device: string;
    readonly gsi: number;
    readonly delivery: "resample" | "irqfd" | "user";
};
/** The part that travels with the descriptors. */
export interface Manifest {
    /** Who wrote it, for messages. */
    readonly writer: {
        readonly version: string;
        readonly node: string;
        readonly pid: number;
    };
    readonly memory: readonly MemoryItem[];
    readonly containers: readonly ContainerItem[];
    readonly sockets: readonly SocketItem[];
    readonly connections: readonly ConnectionItem[];
    /** The program's own descriptors, by name. */
    readonly descriptors: readonly {
        readonly name: string;
        readonly descriptor: DescriptorIndex;
    }[];
}
/** The part that follows when everything is frozen. */
export interface FrozenPart {
    /** For each of the manifest's connections, in order: what the guest has programmed. INTx has no vectors. */
    readonly connections: readonly {
        readonly vectors: readonly {
            readonly index: number;
            readonly message: MsiMessage | undefined;
            readonly masked: boolean;
            /** Masking by eventfd: whether signals go to the guest's eventfd now. */
            readonly toGuest: boolean;
        }[];
    }[];
    /** When each phase began, in nanoseconds of the monotonic clock, which all processes share. */
    readonly times: readonly {
        readonly phase: string;
        readonly at: bigint;
    }[];
    /** The program's own state. */
    readonly state: Uint8Array;
}
