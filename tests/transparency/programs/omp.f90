! OpenMP in Fortran, with formatted and unformatted files.
program heat
  use omp_lib
  implicit none
  integer, parameter :: n = 300
  real(8), allocatable :: a(:, :), b(:, :)
  real(8) :: total, back
  integer :: step, i, j
  allocate (a(n, n), b(n, n))
  a = 0
  a(1, :) = 100
  b = a
  do step = 1, 200
    !$omp parallel do private(i) schedule(static) num_threads(4)
    do j = 2, n - 1
      do i = 2, n - 1
        b(i, j) = 0.25d0*(a(i - 1, j) + a(i + 1, j) + a(i, j - 1) + a(i, j + 1))
      end do
    end do
    !$omp end parallel do
    a = b
    if (mod(step, 50) == 0) print '(i5, f20.10)', step, sum(a)
  end do
  total = sum(a)
  open (10, file='heat.dat', form='unformatted')
  write (10) total
  rewind (10)
  read (10) back
  close (10)
  print '(l1)', back == total
  if (total /= back) stop 1
  stop 3
end program
