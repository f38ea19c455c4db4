#pragma once
// How the agent asks a thread to park.
//
// A real-time signal, since these are queued and so never swallow one that the guest sent with the
// same number. The runtime takes it as a park request only if it was queued (SI_QUEUE) with the
// value kParkMagic ^ freeze_word of the process' slot; every other one is the guest's.

#include <cstdint>

namespace cairn::abi {

inline constexpr int kParkSignal = 62;
inline constexpr std::uint64_t kParkMagic = 0x9d5c'0ffe'0000'0000ULL;

}  // namespace cairn::abi
