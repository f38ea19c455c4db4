// The table as the runtime sees it. What it says about the source text is in table_source_test.py.
#include <asm/unistd.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <initializer_list>
#include <map>
#include <string>

#include "syscalls/table.gen.h"

namespace cairn::syscalls {
namespace {

bool named(const Row& row) {
  return row.name[0] != '\0';
}

bool has_role(const Row& row, std::initializer_list<Role> roles) {
  return std::any_of(std::begin(row.args), std::end(row.args), [&](Role role) {
    return std::find(roles.begin(), roles.end(), role) != roles.end();
  });
}

TEST(Table, RowsStandAtTheirNumbers) {
  EXPECT_STREQ(kTable[__NR_read].name, "read");
  EXPECT_STREQ(kTable[__NR_rseq].name, "rseq");
  EXPECT_STREQ(kTable[__NR_clone3].name, "clone3");
  EXPECT_STREQ(kTable[__NR_futex_waitv].name, "futex_waitv");
  EXPECT_STREQ(kTable[467].name, "open_tree_attr");
  EXPECT_FALSE(named(kTable[400]));
}

TEST(Table, NumbersWithoutARowAreAnsweredEnosys) {
  for (unsigned number = 0; number < kSyscalls; ++number) {
    const Row& row = kTable[number];
    if (named(row)) continue;
    EXPECT_EQ(row.policy, Policy::kRefuse) << number;
    EXPECT_EQ(row.handler, Handler::kRefuse) << number;
    EXPECT_EQ(row.refusal, ENOSYS) << number;
    EXPECT_EQ(kFast[number], 0) << number;
  }
  for (unsigned number = kSyscalls; number < kFastSlots; ++number)
    EXPECT_EQ(kFast[number], 0) << number;
}

TEST(Table, FastIsExactlyWhatNeedsNoWork) {
  for (unsigned number = 0; number < kSyscalls; ++number) {
    const Row& row = kTable[number];
    const bool fast = row.policy == Policy::kPass || row.policy == Policy::kArmed;
    EXPECT_EQ(kFast[number], fast ? 1 : 0) << row.name;
    EXPECT_EQ(kArmed[number], row.policy == Policy::kArmed ? row.causes : 0) << row.name;
    EXPECT_EQ(row.policy == Policy::kArmed && row.causes == 0, false) << row.name;
  }
}

TEST(Table, EveryRowThatIsNotPassHasAHandler) {
  for (const Row& row : kTable)
    EXPECT_EQ(row.handler == Handler::kNone, row.policy == Policy::kPass) << row.name;
}

TEST(Table, RefusalsAndOnlyTheyCarryAnError) {
  for (const Row& row : kTable)
    EXPECT_EQ(row.refusal != 0, row.policy == Policy::kRefuse) << row.name;
}

TEST(Table, LengthsPointAtLengthsAndCounts) {
  for (const Row& row : kTable) {
    for (int i = 0; i < 6; ++i) {
      if (row.length_of[i] == kNoLength) continue;
      ASSERT_LT(row.length_of[i], 6) << row.name;
      const Role role = row.args[row.length_of[i]];
      EXPECT_TRUE(role == Role::kLength || role == Role::kCount || role == Role::kOffset)
          << row.name << " " << i;
    }
  }
}

// What holds a number or a set of signals that the guest sees differently may not pass untouched.
TEST(Table, TranslatedRolesAreNeverPassed) {
  for (const Row& row : kTable) {
    const bool foreign = has_role(row, {Role::kPath,
                                        Role::kPid,
                                        Role::kTid,
                                        Role::kTgid,
                                        Role::kPgid,
                                        Role::kSid,
                                        Role::kPidOrNegative,
                                        Role::kPrioWhich,
                                        Role::kIoprioWhich,
                                        Role::kIdtype,
                                        Role::kWho,
                                        Role::kTidOut,
                                        Role::kTidAddress,
                                        Role::kClockid,
                                        Role::kSigmask,
                                        Role::kSigmaskOut,
                                        Role::kSigmaskPair,
                                        Role::kSigaction,
                                        Role::kSigactionOut,
                                        Role::kSiginfo,
                                        Role::kSiginfoOut,
                                        Role::kSigevent,
                                        Role::kAltstack,
                                        Role::kAltstackOut,
                                        Role::kTimeoutMs,
                                        Role::kTimespecRel,
                                        Role::kTimespecByFlag,
                                        Role::kTimevalInout,
                                        Role::kItimerspecByFlag,
                                        Role::kRusageOut,
                                        Role::kMsghdr,
                                        Role::kMsghdrOut,
                                        Role::kIoctlCmd,
                                        Role::kFcntlCmd,
                                        Role::kPrctlOp,
                                        Role::kResource}) ||
                         row.result == Role::kPid || row.result == Role::kTid ||
                         row.result == Role::kPgid || row.result == Role::kSid ||
                         row.result == Role::kTicks;
    if (foreign) {
      EXPECT_NE(row.policy, Policy::kPass) << row.name;
      EXPECT_NE(row.policy, Policy::kArmed) << row.name;
    }
  }
}

// handle_by_roles sees registers only: whatever it serves must be translatable from them alone.
TEST(Table, ByRolesServesOnlyWhatRegistersHold) {
  for (const Row& row : kTable) {
    if (row.handler != Handler::kByRoles) continue;
    EXPECT_FALSE(
        has_role(row, {Role::kSigmask, Role::kSigmaskPair, Role::kSiginfo, Role::kSiginfoOut,
                       Role::kSigevent, Role::kTimespecRel, Role::kTimespecByFlag, Role::kTimeoutMs,
                       Role::kPath, Role::kPidOrNegative, Role::kMsghdr, Role::kMsghdrOut}))
        << row.name;
    EXPECT_TRUE(has_role(row, {Role::kPid, Role::kTid, Role::kPgid, Role::kClockid,
                               Role::kPrioWhich, Role::kIoprioWhich}) ||
                row.result == Role::kPid || row.result == Role::kPgid || row.result == Role::kSid)
        << row.name;
  }
}

TEST(Table, WhoFollowsTheArgumentThatExplainsIt) {
  for (const Row& row : kTable) {
    for (int i = 0; i < 6; ++i) {
      if (row.args[i] != Role::kWho) continue;
      ASSERT_GT(i, 0) << row.name;
      const Role before = row.args[i - 1];
      EXPECT_TRUE(before == Role::kPrioWhich || before == Role::kIoprioWhich ||
                  before == Role::kIdtype)
          << row.name;
    }
  }
}

TEST(Table, EveryPathIsLookedAt) {
  for (const Row& row : kTable) {
    const bool has_path = has_role(row, {Role::kPath});
    if (row.handler == Handler::kPath) {
      EXPECT_TRUE(has_path) << row.name;
    }
    if (has_path) {
      EXPECT_TRUE(row.policy == Policy::kTranslate || row.policy == Policy::kTrack) << row.name;
    }
  }
}

TEST(Table, EveryWaitHasOneTimeout) {
  for (const Row& row : kTable) {
    if (row.handler != Handler::kWait) continue;
    const auto timeouts = std::count_if(std::begin(row.args), std::end(row.args), [](Role role) {
      return role == Role::kTimeoutMs || role == Role::kTimespecRel || role == Role::kTimevalInout;
    });
    EXPECT_EQ(timeouts, 1) << row.name;
    EXPECT_TRUE(row.restart == Restart::kEintr || row.restart == Restart::kRestartBlock)
        << row.name;
  }
}

// signal(7), "Interruption of system calls": what the manual lists is what the table says.
TEST(Table, RestartClassesAreThoseOfTheManual) {
  const std::map<Restart, std::initializer_list<int>> expected = {
      {Restart::kRestart,
       {__NR_read,    __NR_readv,    __NR_write,    __NR_writev,          __NR_ioctl,
        __NR_open,    __NR_openat,   __NR_wait4,    __NR_waitid,          __NR_accept,
        __NR_connect, __NR_recvfrom, __NR_recvmmsg, __NR_recvmsg,         __NR_sendto,
        __NR_sendmsg, __NR_flock,    __NR_fcntl,    __NR_mq_timedreceive, __NR_mq_timedsend,
        __NR_futex,   __NR_getrandom}},
      {Restart::kEintr,
       {__NR_pause, __NR_rt_sigsuspend, __NR_rt_sigtimedwait, __NR_epoll_wait, __NR_epoll_pwait,
        __NR_select, __NR_pselect6, __NR_ppoll, __NR_msgrcv, __NR_msgsnd, __NR_semop,
        __NR_semtimedop, __NR_io_getevents}},
      {Restart::kRestartBlock, {__NR_poll, __NR_nanosleep, __NR_clock_nanosleep}},
      {Restart::kNever, {__NR_close, __NR_getpid, __NR_mmap, __NR_dup2, __NR_fork}},
      {Restart::kNoreturn, {__NR_exit, __NR_exit_group, __NR_rt_sigreturn}},
  };
  for (const auto& [restart, numbers] : expected)
    for (const int number : numbers)
      EXPECT_EQ(kTable[number].restart, restart) << kTable[number].name;
}

}  // namespace
}  // namespace cairn::syscalls
