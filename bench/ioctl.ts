/**
 * System calls: what the shim adds that stands between JavaScript and the kernel, over a real KVM whose own share is small; and
 * what a refusal costs, as a value and as an error.
 *
 * @module
 */
import { accessSync, constants } from "node:fs";
import os from "node:os";
import { VfioError } from "vfio";
import { Kvm, type Vm } from "vfio/kvm";
import { native } from "../kernel/native.js";
import { onHost } from "./host.js";
import type { Benchmark, Sides } from "./measure.js";

// No kernel knows this flag: the request is refused as soon as it has been read.
const UNKNOWN_FLAG = 2 ** 30;
const GSI = 5;
const MSI_ADDRESS = 0xfee0_0000;
const { EINVAL } = os.constants.errno;

function lacksKvm(): string | undefined {
  try {
    accessSync("/dev/kvm", constants.R_OK | constants.W_OK);
    return undefined;
  } catch {
    return "no /dev/kvm that this user may open";
  }
}

interface KvmBenchmark extends Pick<Benchmark, "name" | "what" | "target"> {
  readonly order: string;
  prepare(vm: Vm): Sides["ours"];
}

function define({ order, prepare, ...rest }: KvmBenchmark): Benchmark {
  return onHost({
    ...rest,
    missing: lacksKvm,
    order: (operations) => `${order} ${operations}`,
    prepare(stack) {
      const kvm = Kvm.open();
      stack.defer(() => kvm.close());
      const vm = kvm.createVm();
      stack.defer(() => vm.close());
      // Without one, KVM refuses messages.
      const vcpu = vm.createVcpu(0);
      stack.defer(() => vcpu.close());
      return prepare(vm);
    },
  });
}

function refuse(vm: number): number {
  return native.kvmIrqfd(vm, 0, GSI, UNKNOWN_FLAG, 0);
}

/** All of them. */
export const ioctlBenchmarks: readonly Benchmark[] = [
  define({
    name: "ioctl/shim",
    what: "one ioctl with five arguments through the addon: KVM_IRQFD, refused at once",
    target: { over: 45 },
    order: "refused",
    prepare({ fd }) {
      return (operations) => {
        for (let i = 0; i < operations; i++) {
          if (refuse(fd) !== -EINVAL) throw new Error("KVM did not refuse");
        }
        return undefined;
      };
    },
  }),
  define({
    name: "ioctl/shim-bigint",
    what: "the same with a bigint among its arguments: KVM_SIGNAL_MSI",
    order: "message",
    prepare({ fd }) {
      const address = BigInt(MSI_ADDRESS);
      return (operations) => {
        for (let i = 0; i < operations; i++) native.kvmSignalMsi(fd, address, i & 0xff);
        return undefined;
      };
    },
  }),
  define({
    name: "ioctl/api",
    what: "one ioctl through the class that a program uses: vm.signalMsi()",
    order: "message",
    prepare(vm) {
      return (operations) => {
        for (let i = 0; i < operations; i++) vm.signalMsi({ address: MSI_ADDRESS, data: i & 0xff });
        return undefined;
      };
    },
  }),
  define({
    name: "error/value",
    what: "a refusal that is a value: the number of the error, returned",
    order: "refused",
    prepare({ fd }) {
      return (operations) => {
        let refused = 0;
        for (let i = 0; i < operations; i++) if (refuse(fd) < 0) refused++;
        if (refused !== operations) throw new Error("KVM did not refuse");
        return undefined;
      };
    },
  }),
  define({
    name: "error/thrown",
    what: "a refusal that is a VfioError: made with all it says, thrown and caught",
    order: "refused",
    prepare({ fd, label }) {
      return (operations) => {
        for (let i = 0; i < operations; i++) {
          try {
            throw new VfioError({
              errno: refuse(fd),
              syscall: "ioctl",
              request: "KVM_IRQFD",
              args: { gsi: GSI, flags: UNKNOWN_FLAG },
              object: label,
            });
          } catch (error) {
            if (!(error instanceof VfioError) || error.code !== "EINVAL") throw error;
          }
        }
        return undefined;
      };
    },
  }),
];
