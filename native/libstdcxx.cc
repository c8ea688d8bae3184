// What GCC's headers call from version 11 on, and the libstdc++ of older systems (RHEL 8, Debian 11) does not have. It
// is for an array of more bytes than there are addresses; without exceptions, throwing would end the process as well.
#include <cstdlib>

namespace std {
[[noreturn, gnu::visibility("hidden")]] void __throw_bad_array_new_length();
void __throw_bad_array_new_length() { abort(); }
}  // namespace std
