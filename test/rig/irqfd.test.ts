// The guest's kernel has a KVM of its own (kvm_amd on the emulated processor): what is asked of the host's is asked of it too.
import "../integration/kvm.test.js";
