package main

const sysFstatat = 79 // newfstatat
