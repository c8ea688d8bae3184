/**
 * An address space's reflection in a container: each section is a mapping, and a transaction is all of its mappings or none.
 *
 * @module
 */
import type { AddressSpaceListener, Section } from "../memory/address-space.js";
import type { DmaMemory } from "../memory/dma-buffer.js";
import type { DmaMapping } from "./mapping.js";
import type { MapRequest } from "./options.js";

/** What stands in a section of an address space that containers mirror: memory, from an offset on. */
export interface MemoryPart {
  readonly memory: DmaMemory;
  /** In bytes, a multiple of the page size. */
  readonly offset: number;
}

/** The part of a container that a mirror needs. @internal */
export interface MirroringContainer {
  /** All of the maps, or none. */
  mapMany(requests: readonly MapRequest[]): readonly DmaMapping[];
  /** Those that are still mapped when this throws are still mapped. */
  unmapMany(mappings: readonly DmaMapping[]): void;
  /** The mapping that a former process has left for a request, if it is not claimed yet. */
  inherited(request: MapRequest): DmaMapping | undefined;
  /** Takes such a mapping. */
  claim(mapping: DmaMapping): void;
}

/** @internal */
export class ContainerMirror implements AddressSpaceListener<MemoryPart> {
  readonly #container: MirroringContainer;
  readonly #mappings = new Map<Section<MemoryPart>, DmaMapping>();
  #adds: Section<MemoryPart>[] = [];
  #removes: Section<MemoryPart>[] = [];
  #open = false;
  #disowned = false;

  constructor(container: MirroringContainer) {
    this.#container = container;
  }

  /** Whether a change of the address space is under way. */
  get open(): boolean {
    return this.#open;
  }

  /** The mappings are another process's from now on: the sections come and go, and nothing is done. */
  disown(): void {
    this.#disowned = true;
    this.#mappings.clear();
  }

  begin(): void {
    this.#open = true;
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
    this.#open = false;
    if (this.#disowned) return;
    const gone: Section<MemoryPart>[] = [];
    try {
      this.#unmapAll(this.#removes, gone);
      this.#mapAll(this.#adds);
    } catch (error) {
      this.#mapAll(gone);
      throw error;
    }
  }

  /** @param gone the sections that are not mapped any more, also if this throws */
  #unmapAll(sections: readonly Section<MemoryPart>[], gone: Section<MemoryPart>[]): void {
    const mappings = sections.map((section) => this.#mappings.get(section)).filter((mapping) => mapping !== undefined);
    try {
      if (mappings.length > 0) this.#container.unmapMany(mappings);
    } finally {
      for (const section of sections) {
        if (this.#mappings.get(section)?.mapped === true) continue;
        this.#mappings.delete(section);
        gone.push(section);
      }
    }
  }

  #mapAll(sections: readonly Section<MemoryPart>[]): void {
    const inherited: [Section<MemoryPart>, DmaMapping][] = [];
    const wanted: Section<MemoryPart>[] = [];
    for (const section of sections) {
      const mapping = this.#container.inherited(requestOf(section));
      if (mapping === undefined) wanted.push(section);
      else inherited.push([section, mapping]);
    }
    const mappings = wanted.length === 0 ? [] : this.#container.mapMany(wanted.map(requestOf));
    for (const [index, section] of wanted.entries()) {
      const mapping = mappings[index];
      if (mapping !== undefined) this.#mappings.set(section, mapping);
    }
    // Last: where the maps are refused, the next attempt finds the inherited mappings again.
    for (const [section, mapping] of inherited) {
      this.#container.claim(mapping);
      this.#mappings.set(section, mapping);
    }
  }
}

function requestOf({ iova, length, memory, readable, writable }: Section<MemoryPart>): MapRequest {
  return { memory: memory.memory, offset: memory.offset, iova, length, read: readable, write: writable };
}
