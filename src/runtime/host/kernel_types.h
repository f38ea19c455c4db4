#pragma once
// The kernel's own layouts of what crosses the signal boundary on x86-64 (arch/x86/include/uapi);
// libc's versions differ (sigset_t is 128 bytes there).

#include <cstdint>

#include "abi/link.h"

namespace cairn::runtime {

struct KernelSigaction {
  std::uint64_t handler;
  std::uint64_t flags;
  std::uint64_t restorer;
  std::uint64_t mask;
};

struct alignas(8) KernelSiginfo {
  std::int32_t signal;
  std::int32_t error;
  std::int32_t code;
  std::int32_t pad;
  union {
    struct {
      std::int32_t pid;
      std::uint32_t uid;
      std::uint64_t value;
    } sent;
    struct {
      std::uint64_t call_address;
      std::int32_t number;
      std::uint32_t arch;
    } sys;
    struct {
      std::uint64_t address;
    } fault;
    unsigned char bytes[112];
  };
};
static_assert(sizeof(KernelSiginfo) == 128);

struct KernelStack {
  std::uint64_t pointer;
  std::int32_t flags;
  std::uint32_t pad;
  std::uint64_t size;
};

struct KernelMcontext {
  std::uint64_t regs[abi::kGeneralRegisters];
  std::uint64_t fpstate;
  std::uint64_t reserved[8];
};
static_assert(sizeof(KernelMcontext) == 256);

struct KernelUcontext {
  std::uint64_t flags;
  std::uint64_t link;
  KernelStack stack;
  KernelMcontext mcontext;
  std::uint64_t mask;
};
static_assert(sizeof(KernelUcontext) == 304);
// UC_FP_XSTATE|UC_SIGCONTEXT_SS|UC_STRICT_RESTORE_SS, for a frame of our own making.
inline constexpr std::uint64_t kFrameFlags = 7;

struct KernelSigframe {
  std::uint64_t return_address;
  KernelUcontext context;
  KernelSiginfo info;
};
static_assert(sizeof(KernelSigframe) == 440);

// The software-reserved bytes at the end of the 512 bytes of legacy state (struct _fpx_sw_bytes).
struct FpSoftwareBytes {
  std::uint32_t magic1;         // kFpMagic1: the area is extended_size bytes, with magic2 at its end
  std::uint32_t extended_size;  // includes the 4 bytes of magic2
  std::uint64_t xfeatures;
  std::uint32_t xstate_size;
  std::uint32_t padding[7];
};
inline constexpr std::uint32_t kFpMagic1 = 0x46505853;
inline constexpr std::uint64_t kFpSoftwareOffset = 464;
inline constexpr std::uint64_t kFpLegacyBytes = 512;

inline constexpr std::uint64_t kSaOnstack = 0x08000000, kSaRestart = 0x10000000,
                               kSaNodefer = 0x40000000, kSaResethand = 0x80000000,
                               kSaSiginfo = 4, kSaRestorer = 0x04000000, kSaNocldstop = 1,
                               kSaNocldwait = 2, kSaUnsupported = 0x400, kSaExposeTagbits = 0x800;
inline constexpr std::uint64_t kSigDfl = 0, kSigIgn = 1;
inline constexpr int kSsOnstack = 1, kSsDisable = 2;
inline constexpr std::uint32_t kSsAutodisarm = 1U << 31;

inline constexpr int kSigill = 4, kSigtrap = 5, kSigabrt = 6, kSigbus = 7, kSigfpe = 8, kSigkill = 9,
                     kSigsegv = 11, kSigchld = 17, kSigcont = 18, kSigstop = 19, kSigtstp = 20,
                     kSigttin = 21, kSigttou = 22, kSigurg = 23, kSigwinch = 28, kSigsys = 31;
inline constexpr int kSiUser = 0, kSiKernel = 0x80, kSiQueue = -1, kSiTkill = -6;
inline constexpr int kSysSeccomp = 1, kSysUserDispatch = 2;

constexpr std::uint64_t signal_bit(int signal) { return 1ULL << (signal - 1); }

inline constexpr int kSigBlock = 0, kSigUnblock = 1, kSigSetmask = 2;
inline constexpr int kEPERM = 1, kENOENT = 2, kEINTR = 4, kENXIO = 6, kE2BIG = 7, kENOEXEC = 8,
                     kEAGAIN = 11, kENOMEM = 12, kEACCES = 13, kEFAULT = 14, kEINVAL = 22, kENOSPC = 28,
                     kEDEADLK = 35, kENAMETOOLONG = 36, kENOSYS = 38, kESRCH = 3, kELOOP = 40,
                     kENOTSUP = 95, kENOTCONN = 107, kETIMEDOUT = 110, kEBADF = 9, kEEXIST = 17, kERANGE = 34;

struct Timespec {
  std::int64_t sec;
  std::int64_t nsec;
};

}  // namespace cairn::runtime
