import type { Attachment } from "../device/attachment.js";
import { type Ioas, Iommufd } from "../iommufd/iommufd.js";
import { Container } from "./container.js";
import type { DmaMapping } from "./mapping.js";
import type { AttachOptions, SpaceInfo } from "./options.js";
/** A container of iommufd. Made by {@link openContainer}. */
export declare class IommufdContainer extends Container {
    readonly mode: "iommufd";
    protected readonly requests: {
        map: string;
        unmap: string;
    };
    /** The iommufd, which belongs to this container. */
    readonly iommufd: Iommufd;
    /** The address space that devices are attached to. */
    readonly ioas: Ioas;
    private constructor();
    protected open(address: string, options: AttachOptions): Attachment;
    protected readSpace(): SpaceInfo;
    protected kernelMap(mapping: DmaMapping): number;
    protected kernelMapAsync(mapping: DmaMapping): Promise<number>;
    protected kernelMapMany(mappings: readonly DmaMapping[]): {
        done: number;
        errno: number;
    };
    protected kernelUnmap(iova: bigint, length: number | bigint): number | bigint;
    protected kernelUnmapAsync({ iova, length }: DmaMapping): Promise<number>;
    protected kernelUnmapAll(): number | bigint;
    protected mapRequest({ memory }: DmaMapping): string;
    protected explainMap(errno: number, mapping: DmaMapping): {
        why: string;
        fix?: string;
    } | undefined;
    protected closeSelf(): void;
    protected disownSelf(): void;
}
