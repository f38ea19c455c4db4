#pragma once
// Calls that move bytes between guest memory and a file, as far as a park may divide them.

#include "runtime/handlers/dispatch.h"

namespace cairn::runtime {

struct Transfer {
  enum class Memory : std::uint32_t { kBuffer, kVector, kMessage };
  std::uint32_t number;
  Memory memory;
  bool sends;
};

// nullptr: no such call.
const Transfer* transfer_of(std::uint64_t number);

// The next bytes that lie together in memory.
struct Piece {
  std::uint64_t address;
  std::uint64_t bytes;
  std::uint64_t total;  // of the whole call
};
// `at` and `count` are the call's second and third argument. False: nothing is left (or the guest's
// memory is not what it was).
bool find_piece(Transfer::Memory memory, std::uint64_t at, std::uint64_t count, std::uint64_t done,
                Piece* out);

std::uint64_t message_flags(const ThreadBlock* t);  // MSG_*, 0 for read and write
bool is_nonblocking(const ThreadBlock* t);

// One call for a piece, then the next.
Action move_piece(ThreadBlock* t, std::uint32_t number, const Piece& piece,
                  std::uint64_t flags = 0);
// `post` of every step: adds up what is done. (Its address is taken in other files.)
[[gnu::visibility("hidden")]] std::int64_t after_step(ThreadBlock* t, std::int64_t result);

// The rest of what a socket was to take or to give, or the rest of the time that it may wait.
// False: the call is to be made as it was.
bool go_on_at_socket(ThreadBlock* t, const Transfer* kind, BeforeHandler before, const Piece* piece,
                     Action* action);
bool go_on_with_messages(ThreadBlock* t, Action* action);

constexpr std::uint64_t kMsgPeek = 2, kMsgDontwait = 0x40, kMsgWaitall = 0x100,
                        kMsgNosignal = 0x4000, kMsgWaitforone = 0x10000;
constexpr std::uint64_t kSolSocket = 1;

}  // namespace cairn::runtime
