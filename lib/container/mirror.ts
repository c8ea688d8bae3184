/**
 * An address space's reflection in a container: each section is a mapping, and a transaction is all of its mappings or none.
 *
 * @module
 */
import type { AddressSpaceListener, Section } from "../address-space.js";
import type { DmaMemory } from "../dma-buffer.js";
import type { Container, MapRequest } from "./container.js";
import type { DmaMapping } from "./mapping.js";

/** What stands in a section of an address space that containers mirror: memory, from an offset on. */
export interface MemoryPart {
  readonly memory: DmaMemory;
  /** In bytes, a multiple of the page size. */
  readonly offset: number;
}

/** @internal */
export class ContainerMirror implements AddressSpaceListener<MemoryPart> {
  readonly #container: Container;
  readonly #mappings = new Map<Section<MemoryPart>, DmaMapping>();
  #adds: Section<MemoryPart>[] = [];
  #removes: Section<MemoryPart>[] = [];

  constructor(container: Container) {
    this.#container = container;
  }

  begin(): void {
    this.#adds = [];
    this.#removes = [];
  }

  // A change is gathered, so that its maps go down in one call; commit does all of it or nothing.
  add(section: Section<MemoryPart>): void {
    this.#adds.push(section);
  }

  remove(section: Section<MemoryPart>): void {
    this.#removes.push(section);
  }

  commit(): void {
    const gone: Section<MemoryPart>[] = [];
    try {
      for (const section of this.#removes) {
        this.#mappings.get(section)?.unmap();
        this.#mappings.delete(section);
        gone.push(section);
      }
      this.#mapAll(this.#adds);
    } catch (error) {
      this.#mapAll(gone);
      throw error;
    }
  }

  #mapAll(sections: readonly Section<MemoryPart>[]): void {
    if (sections.length === 0) return;
    const mappings = this.#container.mapMany(sections.map(requestOf));
    for (const [index, section] of sections.entries()) {
      const mapping = mappings[index];
      if (mapping !== undefined) this.#mappings.set(section, mapping);
    }
  }
}

function requestOf({ iova, length, memory, readable, writable }: Section<MemoryPart>): MapRequest {
  return { memory: memory.memory, offset: memory.offset, iova, length, read: readable, write: writable };
}
