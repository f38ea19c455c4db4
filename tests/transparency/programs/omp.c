// OpenMP: a heat equation with barriers, a reduction in fixed order, tasks, nested regions.
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kSize = 400 };
static double grid[2][kSize][kSize];
static long fib(int n) {
  if (n < 2) return n;
  long a, b;
#pragma omp task shared(a) if (n > 12)
  a = fib(n - 1);
  b = fib(n - 2);
#pragma omp taskwait
  return a + b;
}

int main(void) {
  for (int n = 0; n < kSize; n++) grid[0][n][0] = grid[1][n][0] = 100;
  for (int step = 0; step < 300; step++)
#pragma omp parallel for schedule(static) num_threads(4)
    for (int i = 1; i < kSize - 1; i++)
      for (int j = 1; j < kSize - 1; j++)
        grid[~step & 1][i][j] = 0.25 * (grid[step & 1][i - 1][j] + grid[step & 1][i + 1][j] +
                                        grid[step & 1][i][j - 1] + grid[step & 1][i][j + 1]);
  double sum = 0;
  for (int i = 0; i < kSize; i++) for (int j = 0; j < kSize; j++) sum += grid[0][i][j];
  printf("%.10f\n", sum);
  long count = 0, result;
#pragma omp parallel for schedule(dynamic, 7) reduction(+ : count) num_threads(6)
  for (int n = 0; n < 100000; n++) count += n % 3;
#pragma omp parallel num_threads(4)
#pragma omp single
  result = fib(24);
  printf("%ld %ld\n", count, result);
  int inner = 0;
  omp_set_max_active_levels(2);
#pragma omp parallel num_threads(3)
#pragma omp parallel num_threads(2)
#pragma omp atomic
  inner++;
  printf("%d\n", inner);
  return 0;
}
