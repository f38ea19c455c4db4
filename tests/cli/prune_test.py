#!/usr/bin/env python3
"""prune and --keep: the store stays bounded, and what is kept comes back."""

import jobs


class Prune(jobs.Case):
    def generations(self):
        return [entry["generation"] for entry in self.json("ls", self.job)]

    def store_bytes(self):
        return sum(path.stat().st_size for path in self.job.rglob("*") if path.is_file())

    def make_generations(self, process, count):
        for _ in range(count):
            self.step(process)
            self.cairn("checkpoint", "--dir", self.job)

    def expect_restart(self, steps_before):
        self.assertEqual({entry["ok"] for entry in self.json("verify", self.job)}, {True})
        process = self.restart(self.job)
        count, total = map(int, self.step(process))
        self.assertEqual(count, steps_before)
        self.assertEqual(total, sum(step % 251 + 1 for step in range(steps_before + 1)))
        return process

    def test_while_the_job_runs(self):
        process = self.start_worker()
        self.make_generations(process, 4)
        answer = self.json("prune", "--keep", 2, "--dir", self.job)
        self.assertEqual(answer["removed"], [1, 2])
        self.assertGreater(answer["bytes_freed"], 0)
        self.assertEqual(self.generations(), [3, 4])
        self.make_generations(process, 1)  # the agent knows which pages are still there
        self.kill(process)
        self.expect_restart(5)

    def test_when_the_job_has_ended(self):
        process = self.start_worker()
        self.make_generations(process, 4)
        self.kill(process)
        done = self.cairn("prune", "--keep", 1, self.job)
        self.assertIn("3 generations removed", done.stdout)
        self.assertEqual(self.generations(), [4])
        process = self.expect_restart(4)
        self.make_generations(process, 1)
        self.kill(process)
        self.assertEqual(self.json("prune", "--keep", 5, self.job)["removed"], [])
        self.assertEqual(self.generations(), [4, 5])
        self.expect_restart(6)

    def test_a_copy_is_pruned_alone(self):
        process = self.start_worker()
        self.make_generations(process, 2)
        copy = self.scratch / "copy"
        copy.mkdir()
        for name in ("1", "2"):
            (copy / name).mkdir()
            for path in (self.job / name).iterdir():
                (copy / name / path.name).write_bytes(path.read_bytes())
        self.assertEqual(self.json("prune", "--keep", 1, copy)["removed"], [1])
        self.assertEqual(self.generations(), [1, 2])
        self.assertEqual([entry["ok"] for entry in self.json("verify", copy)], [True])

    def test_keep_bounds_the_store(self):
        process = self.start_worker(options=("--keep", "2"))
        self.make_generations(process, 3)
        early = self.store_bytes()
        self.make_generations(process, 9)
        self.assertEqual(self.generations(), [11, 12])
        self.assertLess(self.store_bytes(), 2 * early)
        self.kill(process)
        self.expect_restart(12)

    def test_bad_use(self):
        process = self.start_worker()
        self.make_generations(process, 1)
        for wrong in ((), ("--keep", 0)):
            self.expect_line(jobs.USAGE, "--keep", "prune", *wrong, self.job)
        self.expect_line(jobs.USAGE, "not one generation", "prune", "--keep", 1, self.job / "1")
        self.expect_line(jobs.REFUSED, "No such file", "prune", "--keep", 1, self.scratch / "nothing")
        empty = self.scratch / "empty"
        empty.mkdir()
        self.expect_line(jobs.DAMAGED, "no generation", "prune", "--keep", 1, empty)
        self.assertEqual(self.generations(), [1])


if __name__ == "__main__":
    jobs.main()
