package main

const sysFstatat = 262 // newfstatat
