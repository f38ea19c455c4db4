#include "agent/job_registry.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <set>

#include "base/files.h"

namespace cairn::agent {
namespace {

namespace fs = std::filesystem;

class Registry : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/cairn-test-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory_ = name;
    ::setenv("XDG_RUNTIME_DIR", name, 1);
  }
  void TearDown() override { fs::remove_all(directory_); }

  // This very process plays the agent.
  JobEntry entry(const std::string& name) {
    JobEntry job;
    job.job_id = make_job_id();
    job.name = name;
    job.directory = "/stores/" + name;
    job.incarnation = 2;
    job.agent_pid = ::getpid();
    job.agent_start_time = process_start_time(::getpid());
    job.first_pid = 4711;
    job.started_ns = 5;
    return job;
  }

  std::vector<JobEntry> mine() {
    std::vector<JobEntry> jobs = running_jobs();
    std::erase_if(jobs, [](const JobEntry& job) { return job.agent_pid != ::getpid(); });
    return jobs;
  }

  fs::path directory_;
};

TEST_F(Registry, JobIdsDiffer) {
  std::set<std::string> ids;
  for (int i = 0; i < 1000; ++i) ids.insert(make_job_id());
  EXPECT_EQ(ids.size(), 1000U);
  EXPECT_EQ(ids.begin()->size(), 20U);
}

TEST_F(Registry, WhatIsPublishedIsFound) {
  JobEntry job = entry("solver");
  ASSERT_TRUE(make_run_directory(job));
  EXPECT_TRUE(mine().empty());  // not published yet
  ASSERT_TRUE(publish(job));
  const auto jobs = mine();
  ASSERT_EQ(jobs.size(), 1U);
  EXPECT_EQ(jobs[0].job_id, job.job_id);
  EXPECT_EQ(jobs[0].name, "solver");
  EXPECT_EQ(jobs[0].directory, "/stores/solver");
  EXPECT_EQ(jobs[0].incarnation, 2U);
  EXPECT_EQ(jobs[0].first_pid, 4711);
  EXPECT_EQ(jobs[0].socket(), job.run_directory / "agent.sock");
  remove_run_directory(job);
  EXPECT_TRUE(mine().empty());
  EXPECT_FALSE(fs::exists(job.run_directory));
}

TEST_F(Registry, NobodyElseGetsIn) {
  JobEntry job = entry("solver");
  const mode_t before = ::umask(0);
  const auto made = make_run_directory(job);
  const auto published = publish(job);
  ::umask(before);
  ASSERT_TRUE(made);
  ASSERT_TRUE(published);
  for (const auto& [path, mode] : {std::pair(job.run_directory, 0700U),
                                   std::pair(job.run_directory.parent_path(), 0700U),
                                   std::pair(job.run_directory / "job.json", 0600U)}) {
    struct stat st{};
    ASSERT_EQ(::stat(path.c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 07777, mode) << path;
  }
}

TEST_F(Registry, WhatADeadAgentLeftIsRemoved) {
  JobEntry job = entry("dead");
  ASSERT_TRUE(make_run_directory(job));
  job.agent_start_time += 1;  // the pid belongs to somebody else now
  ASSERT_TRUE(publish(job));
  EXPECT_FALSE(job.alive());
  EXPECT_TRUE(mine().empty());
  EXPECT_FALSE(fs::exists(job.run_directory));
}

TEST_F(Registry, AnEntryThatIsNotUnderstoodIsLeftAlone) {
  JobEntry job = entry("odd");
  ASSERT_TRUE(make_run_directory(job));
  const auto file = create_private_file(job.run_directory / "job.json", O_WRONLY);
  ASSERT_TRUE(file);
  ASSERT_TRUE(write_all(file->get(), "{\"job\": 3}"));
  EXPECT_TRUE(mine().empty());
  EXPECT_TRUE(fs::exists(job.run_directory));
}

TEST_F(Registry, ADirectoryTooLongForASocketIsNotUsed) {
  const fs::path deep = directory_ / std::string(100, 'x');
  ASSERT_TRUE(fs::create_directory(deep));
  ::setenv("XDG_RUNTIME_DIR", deep.c_str(), 1);
  JobEntry job = entry("deep");
  ASSERT_TRUE(make_run_directory(job));
  EXPECT_EQ(job.run_directory.parent_path(), "/tmp/cairn-" + std::to_string(::geteuid()));
  remove_run_directory(job);
}

TEST_F(Registry, JobsAreNamedByNameOrByTheBeginningOfTheirId) {
  std::vector<JobEntry> jobs{entry("a"), entry("b"), entry("b")};
  jobs[0].job_id = "12345678";
  jobs[1].job_id = "1234abcd";
  EXPECT_EQ(match_jobs(jobs, "a").size(), 1U);
  EXPECT_EQ(match_jobs(jobs, "b").size(), 2U);
  EXPECT_EQ(match_jobs(jobs, "c").size(), 0U);
  EXPECT_EQ(match_jobs(jobs, "123").size(), 0U);  // too short to be meant
  EXPECT_EQ(match_jobs(jobs, "1234").size(), 2U);
  EXPECT_EQ(match_jobs(jobs, "12345").size(), 1U);
}

}  // namespace
}  // namespace cairn::agent
